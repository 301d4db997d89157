//! The command lines of which is kept what they print.

use agentd_proto::{reason, v1};
use tonic::Code;

use crate::cli::tests::{canned, canned::Script};

/// Command lines whose output is kept in one file, by its name.
pub(super) type Snapshots = &'static [(&'static str, &'static [&'static [&'static str]])];

pub(super) const LISTS: Snapshots = &[
    (
        "ls",
        &[
            &["ls"],
            &["ls", "-o", "wide"],
            &["ls", "--columns", "id,labels,workspace,finished"],
            &["ls", "--no-headers", "--limit", "2"],
            &["ls", "--sort", "took", "--limit", "3"],
            &["ls", "--reverse", "-q"],
            &["ls", "-q"],
        ],
    ),
    (
        "sessions",
        &[
            &["sessions"],
            &["sessions", "-o", "wide"],
            &["sessions", "ls", "-q"],
        ],
    ),
    ("sessions-show", &[&["sessions", "show", "0199"]]),
    (
        "workspace-ls",
        &[&["workspace", "ls"], &["workspace", "ls", "-q"]],
    ),
    ("schedules", &[&["schedules"]]),
    ("quota", &[&["quota"], &["quota", "-o", "wide"]]),
    (
        "usage",
        &[
            &["usage"],
            &["usage", "--by", "agent"],
            &["usage", "--by", "lineage", "-o", "wide"],
            &["usage", "--by", "day", "-q"],
        ],
    ),
    ("agents", &[&["agents"], &["agents", "-o", "wide"]]),
];

pub(super) const SINGLE: Snapshots = &[
    (
        "show",
        &[&["show", "42"], &["show", "42.1"], &["show", "48"]],
    ),
    ("show-yaml", &[&["show", "42", "-o", "yaml"]]),
    ("alone", &[&[]]),
    ("explain", &[&["explain", "42"]]),
    ("status", &[&["status"]]),
    ("doctor", &[&["doctor"], &["doctor", "-o", "yaml"]]),
    (
        "service-status",
        &[&["service", "status"], &["service", "status", "-o", "yaml"]],
    ),
    ("prune", &[&["prune"], &["prune", "--dry-run"]]),
    ("version", &[&["version"], &["version", "-o", "yaml"]]),
    (
        "workspace-diff",
        &[
            &["workspace", "diff", "42"],
            &["workspace", "diff", "42.2", "--stat"],
            &["workspace", "diff", "41"],
        ],
    ),
    ("completions", &[&["completions", "fish"]]),
];

pub(super) const FOLLOWED: Snapshots = &[
    (
        "logs",
        &[
            &["logs", "42"],
            &["logs", "42", "--timestamps"],
            &["logs", "42", "--raw"],
            &["logs", "42", "--since", "10m"],
            &["logs", "42", "--since", "1m"],
            &["logs", "-f", "41"],
            &["logs", "-f", "42", "--raw"],
        ],
    ),
    (
        "watch",
        &[&["watch", "42"], &["watch", "42", "-o", "jsonl"]],
    ),
    (
        "wait",
        &[
            &["wait", "41", "42"],
            &["wait", "41", "42", "-o", "table"],
            &["wait", "41", "42", "-q"],
        ],
    ),
    (
        "run",
        &[
            &["run", "go"],
            &["run", "go", "-q"],
            &["run", "--propagate", "--", "make", "test"],
        ],
    ),
];

pub(super) const DONE: Snapshots = &[
    (
        "submit",
        &[
            &["submit", "go"],
            &["submit", "go", "-q"],
            &["submit", "go", "-o", "table"],
            &["submit", "go", "-o", "yaml"],
        ],
    ),
    (
        "rerun",
        &[
            &["rerun", "42"],
            &["rerun", "42", "-q"],
            &["rerun", "42", "-o", "table"],
        ],
    ),
    (
        "rerun-bulk",
        &[
            &["rerun", "--unsuccessful", "--dry-run"],
            &["rerun", "--unsuccessful", "--dry-run", "-o", "table"],
        ],
    ),
    (
        "cancel",
        &[
            &["cancel", "42", "45", "7"],
            &["cancel", "42", "45", "7", "-o", "table"],
            &["cancel", "42", "45", "7", "-o", "json"],
            &["cancel", "42", "45", "7", "-q"],
        ],
    ),
    ("kill", &[&["kill", "45"], &["kill", "45", "-o", "table"]]),
    (
        "hold",
        &[
            &["hold", "49"],
            &["hold", "48", "49", "7", "-o", "table"],
            &["hold", "49", "-q"],
        ],
    ),
    (
        "release",
        &[
            &["release", "49"],
            &["release", "49", "-o", "yaml"],
            &["release", "49", "-q"],
        ],
    ),
    ("pause", &[&["pause"], &["pause", "claude"]]),
    ("resume", &[&["resume"], &["resume", "claude"]]),
    ("quota-clear", &[&["quota", "clear", "team-a"]]),
    ("sessions-forget", &[&["sessions", "forget", "0199"]]),
    (
        "workspace-restore",
        &[
            &["workspace", "restore", "42"],
            &["workspace", "restore", "42", "--before", "--to", "/DIR/new"],
        ],
    ),
    (
        "workspace-rm",
        &[&["workspace", "rm", "42"], &["workspace", "rm", "--all"]],
    ),
    ("report", &[&["report", "progress", "halfway", "through"]]),
];

pub(super) const DAEMON: Snapshots = &[
    (
        "backup",
        &[
            &["backup", "/DIR/copy.redb", "--force"],
            &["backup", "/DIR/copy.redb"],
            &["backup", "/DIR/none/copy.redb"],
        ],
    ),
    ("start", &[&["start"]]),
    ("reload", &[&["reload"]]),
    ("drain", &[&["drain"]]),
    ("shutdown", &[&["shutdown"], &["shutdown", "--cancel-all"]]),
    ("recover", &[&["recover"]]),
    (
        "service-install",
        &[
            &["service", "install", "--dry-run"],
            &["service", "install"],
        ],
    ),
    (
        "service-uninstall",
        &[
            &["service", "uninstall", "--dry-run"],
            &["service", "uninstall"],
        ],
    ),
];

/// What is only there to be looked at on a whole screen has snapshots of its own.
pub(super) const ELSEWHERE: &[&str] = &["top"];

/// What goes wrong, or is rare: the daemon's side of it, and command lines.
pub(super) type Settings = &'static [(
    &'static str,
    fn(&mut Script),
    &'static [&'static [&'static str]],
)];

pub(super) const SETTINGS: Settings = &[
    (
        "error-usage",
        |_| {},
        &[
            &["frob"],
            &["cancel"],
            &["ls", "--state", "faild"],
            &["show", "x"],
            &["submit", " "],
            &["rerun", "--failed", "--queue", "--yes"],
        ],
    ),
    (
        "error-not-found",
        |_| {},
        &[&["show", "7"], &["hold", "7"], &["cancel", "7", "-q"]],
    ),
    (
        "error-conflict",
        |script| {
            refuses(
                script,
                Code::AlreadyExists,
                reason::KEY_BUSY,
                "task 41 is active for this issue",
            )
        },
        &[&["rerun", "42"], &["rerun", "42", "-o", "json"]],
    ),
    (
        "error-gone",
        |script| {
            refuses(
                script,
                Code::FailedPrecondition,
                reason::ISSUE_CLOSED,
                "issue 17 is closed",
            )
        },
        &[&["rerun", "42"]],
    ),
    (
        "error-unreachable",
        |_| {},
        &[
            &["--socket", "/DIR/none.sock", "ls"],
            &["--socket", "/DIR/none.sock", "version"],
        ],
    ),
    (
        "error-permission",
        |script| {
            refuses(
                script,
                Code::PermissionDenied,
                reason::NOT_PERMITTED,
                "user 1001 may not change anything here",
            )
        },
        &[&["rerun", "42"]],
    ),
    (
        "error-timeout",
        |script| {
            script.waits = [Ok(v1::WaitResponse {
                tasks: Vec::new(),
                timed_out: true,
            })]
            .into()
        },
        &[
            &["wait", "45", "--timeout", "1m"],
            &["wait", "45", "--timeout", "1m", "-o", "json"],
        ],
    ),
    (
        "error-other-version",
        |script| script.reruns = [Err(tonic::Status::unimplemented("what is that?"))].into(),
        &[&["rerun", "42"]],
    ),
    (
        "recover-held",
        |script| script.held = 6,
        &[&["recover"], &["recover", "--confirm"], &["status"]],
    ),
    (
        "reload-fault",
        |script| {
            script.problems = vec!["/etc/agentd/config.toml:3:1: unknown key max_runing".to_owned()]
        },
        &[&["reload"]],
    ),
    (
        "none",
        |script| script.tasks.clear(),
        &[&["ls"], &["ls", "-o", "json"], &["ls", "-q"]],
    ),
];

/// The daemon refuses a rerun.
fn refuses(script: &mut Script, code: Code, why: &str, message: &str) {
    script.reruns = [Err(canned::status(code, why, message))].into();
}
