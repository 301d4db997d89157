//! What the canned daemon says of everything but tasks: the same at all times.

use agentd_proto::v1::{self, usage_request::By};

/// 2026-03-01 12:00:00 UTC.
pub(crate) const NOW: i64 = 1_772_366_400_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

pub(super) fn explained(got: v1::GetResponse) -> v1::ExplainResponse {
    let task = got.task.unwrap_or_default();
    let event = |revision, attempt, at, what: &str, why: &str, state: v1::State| v1::Event {
        revision,
        task: task.id,
        attempt,
        at,
        what: what.to_owned(),
        why: why.to_owned(),
        state: state.into(),
    };
    let created = task.created_at;
    v1::ExplainResponse {
        events: vec![
            event(1, 0, created, "submitted", "", v1::State::Queued),
            event(2, 1, created + MINUTE, "claimed", "", v1::State::Starting),
            event(
                3,
                1,
                created + 2 * MINUTE,
                "started",
                "",
                v1::State::Running,
            ),
            event(
                4,
                1,
                created + 5 * MINUTE,
                "failed",
                "agent_error: exit code 3",
                v1::State::Failed,
            ),
        ],
        sequels: vec![v1::Sequel {
            attempt: 1,
            follows: "refused".to_owned(),
            why: "not_retryable".to_owned(),
            reason: "agent_error".to_owned(),
            class: "agent".to_owned(),
            spent: 1,
            max_attempts: 3,
            max_lost_streak: 3,
            longest_backoff: 1_000,
            ..v1::Sequel::default()
        }],
        ancestors: vec![v1::Relative {
            task: 38,
            state: v1::State::Interrupted.into(),
            failure_reason: "runner_lost".to_owned(),
            message: String::new(),
        }],
        attempts: got.attempts,
        phase: "ready".to_owned(),
        task: Some(task),
        ..v1::ExplainResponse::default()
    }
}

pub(super) fn workspaces() -> Vec<v1::WorkspaceInfo> {
    let busy = v1::WorkspaceInfo {
        path: "/home/ann/.local/state/agentd/worktrees/frontend-1/claude-17".to_owned(),
        branch: "agent/claude-17".to_owned(),
        task: 42,
        attempt: 2,
        repo: "/home/ann/src/frontend".to_owned(),
        agent: "claude".to_owned(),
        issue: "17".to_owned(),
        uncommitted: 2,
        snapshots: vec!["refs/agentd/42/1".to_owned(), "refs/agentd/42/2".to_owned()],
        stays_for: vec![
            "2 files are not committed".to_owned(),
            "1 commit is not pushed".to_owned(),
        ],
        ..v1::WorkspaceInfo::default()
    };
    let free = v1::WorkspaceInfo {
        path: "/home/ann/.local/state/agentd/worktrees/frontend-1/task-1".to_owned(),
        ..v1::WorkspaceInfo::default()
    };
    vec![busy, free]
}

pub(super) fn schedules() -> Vec<v1::Schedule> {
    let nightly = v1::Schedule {
        name: "nightly".to_owned(),
        cron: "0 3 * * *".to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        agent: "claude".to_owned(),
        next_at: NOW + 14 * HOUR,
        last_at: NOW - 10 * HOUR,
        last_task: 42,
    };
    let new = v1::Schedule {
        name: "tidy-up-the-branches".to_owned(),
        last_at: 0,
        last_task: 0,
        ..nightly.clone()
    };
    vec![nightly, new]
}

pub(super) fn accounts() -> Vec<v1::Account> {
    let open = v1::Account {
        name: "shell".to_owned(),
        running: 1,
        ..v1::Account::default()
    };
    let parked = v1::Account {
        name: "team-a".to_owned(),
        agents: vec!["claude".to_owned(), "reviewer".to_owned()],
        until: NOW + 5 * MINUTE,
        reason: "usage_limit".to_owned(),
        message: "5-hour limit reached\n".to_owned(),
        task: 42,
        attempt: 1,
        strikes: 2,
        queued: 3,
        running: 0,
    };
    vec![open, parked]
}

pub(super) fn usage(by: By) -> v1::UsageResponse {
    let row = |name: &str, cost| v1::UsageRow {
        name: name.to_owned(),
        day: NOW - 12 * HOUR,
        lineage: if by == By::Lineage { 38 } else { 0 },
        attempts: 3,
        tasks: 2,
        wall: 125_000,
        usage: Some(v1::Usage {
            input: 1_200,
            output: 300,
            cached: 9_000,
            cost,
            turns: 7,
        }),
    };
    let rows = match by {
        By::Unspecified | By::Day | By::Lineage => vec![row("", Some(5_200_000))],
        By::Agent | By::Repo => vec![row("claude", Some(5_200_000)), row("tests", None)],
    };
    v1::UsageResponse {
        rows,
        total: Some(v1::UsageRow {
            lineage: 0,
            ..row("", Some(5_200_000))
        }),
        ..v1::UsageResponse::default()
    }
}

pub(super) fn sessions() -> Vec<v1::Session> {
    let good = v1::Session {
        id: "0199ab34-7c1e-7d30-9a5e-3f1a6e0c2b11".to_owned(),
        agent: "claude".to_owned(),
        agent_type: "claude".to_owned(),
        model: "opus".to_owned(),
        key: "claude:/home/ann/src/frontend:17".to_owned(),
        workspace: "/home/ann/.local/state/agentd/work/42".to_owned(),
        standing: "good".to_owned(),
        task: 42,
        attempt: 2,
        user_task: 45,
        user_attempt: 1,
        first_task: 38,
        first_attempt: 1,
        made_at: NOW - 3 * HOUR,
        changed_at: NOW - 36 * MINUTE,
        ..v1::Session::default()
    };
    let bad = v1::Session {
        id: "0199ab34-0000-7d30-9a5e-3f1a6e0c2b12".to_owned(),
        standing: "quarantined".to_owned(),
        why: "context_overflow".to_owned(),
        user_task: 0,
        user_attempt: 0,
        ..good.clone()
    };
    vec![good, bad]
}

pub(super) fn held(task: Option<v1::Task>) -> v1::HoldResponse {
    v1::HoldResponse {
        task,
        changed: true,
    }
}

pub(super) fn pruned() -> Vec<v1::PruneResponse> {
    use v1::prune_response::Kind;
    let thing = |kind: Kind, task| v1::PruneResponse {
        kind: kind.into(),
        task,
        ..v1::PruneResponse::default()
    };
    vec![
        thing(Kind::Task, 7),
        v1::PruneResponse {
            attempt: 2,
            bytes: 5 << 20,
            ..thing(Kind::Transcript, 8)
        },
        v1::PruneResponse {
            path: "/state/worktrees/app-1/claude-7".to_owned(),
            branch: "agent/claude-7".to_owned(),
            ..thing(Kind::Worktree, 7)
        },
        v1::PruneResponse {
            path: "/state/worktrees/app-1/claude-9".to_owned(),
            stays_for: vec!["1 file is not committed".to_owned()],
            ..thing(Kind::Worktree, 9)
        },
    ]
}

/// One of each kind.
pub(crate) fn findings() -> Vec<v1::Finding> {
    let of = |area: &str, severity: v1::Severity, what: &str| v1::Finding {
        area: area.to_owned(),
        severity: severity.into(),
        what: what.to_owned(),
        ..v1::Finding::default()
    };
    vec![
        of("config", v1::Severity::Good, "/etc/agentd/config.toml"),
        v1::Finding {
            why: "agentd may make none in its own".to_owned(),
            fix: "run agentd as a systemd unit with Delegate=yes".to_owned(),
            ..of(
                "cgroups",
                v1::Severity::Note,
                "attempts have no control groups",
            )
        },
        v1::Finding {
            why: "the store was put back\u{1b}[2J to an older copy".to_owned(),
            fix: "mkdir -p /state/leftovers && mv /state/attempts/9.1 /state/leftovers/9.1"
                .to_owned(),
            aside: Some(v1::finding::Aside {
                from: "/state/attempts/9.1".to_owned(),
                to: "/state/leftovers/9.1".to_owned(),
            }),
            ..of(
                "leftovers",
                v1::Severity::Warning,
                "/state/attempts/9.1 is of an attempt that the store does not know",
            )
        },
        v1::Finding {
            fix: "apt-get install git".to_owned(),
            ..of("system", v1::Severity::Error, "git cannot be run")
        },
    ]
}

fn trouble() -> Vec<v1::agent::Trouble> {
    vec![v1::agent::Trouble {
        what: "not logged\u{1b}[2J in".to_owned(),
        hint: "log in".to_owned(),
    }]
}

pub(super) fn agents() -> Vec<v1::Agent> {
    let claude = v1::Agent {
        name: "claude".to_owned(),
        r#type: "claude".to_owned(),
        program: "/usr/bin/claude".to_owned(),
        version: "2.1.329 (Claude Code)".to_owned(),
        login: v1::Login::No.into(),
        slots: 4,
        running: 1,
        account: "claude".to_owned(),
        permissions: "all".to_owned(),
        last: Some(v1::agent::LastTask {
            task: 3,
            state: v1::State::Failed.into(),
            failure_reason: "auth_failed".to_owned(),
            ended_at: NOW - 180_000,
        }),
        troubles: trouble(),
        ..v1::Agent::default()
    };
    let shell = v1::Agent {
        name: "shell".to_owned(),
        r#type: "command".to_owned(),
        login: v1::Login::Unknown.into(),
        slots: 4,
        account: "command".to_owned(),
        ..v1::Agent::default()
    };
    vec![claude, shell]
}

/// `held` attempts look dead.
pub(super) fn status(held: u64) -> v1::StatusResponse {
    v1::StatusResponse {
        version: "9.9.9".to_owned(),
        phase: "ready".to_owned(),
        pid: 77,
        incarnation: 3,
        queued: 2,
        running: 1,
        slots: 4,
        agents: vec![
            v1::AgentStatus {
                name: "claude".to_owned(),
                r#type: "claude".to_owned(),
                slots: 4,
                surveyed_at: NOW - 3 * HOUR,
                troubles: trouble(),
                ..v1::AgentStatus::default()
            },
            v1::AgentStatus {
                name: "shell".to_owned(),
                r#type: "command".to_owned(),
                paused: true,
                slots: 4,
                running: 1,
                queued: 2,
                surveyed_at: NOW - 3 * HOUR,
                ..v1::AgentStatus::default()
            },
        ],
        notices: vec![v1::Notices {
            way: "webhook".to_owned(),
            to: "https://chat.example.org/…".to_owned(),
            failing_since: NOW - 60_000,
            task: 41,
            why: "the server answers 502 Bad Gateway".to_owned(),
            given_up: 1,
            given_up_task: 40,
            given_up_why: "the server answers 400 Bad Request".to_owned(),
        }],
        state_dir: "/state".to_owned(),
        socket: "/run/agentd.sock".to_owned(),
        store_bytes: 1_572_864,
        revision: 40,
        recovery: Some(v1::Recovery {
            total: 2,
            resolved: 2,
            adopted: 1,
            reaped: 1,
            held,
            ..v1::Recovery::default()
        }),
        state_free: 3 << 30,
        min_free_disk: 256 << 20,
        host: Some(v1::Host {
            load1: 0.5,
            load5: 1.25,
            load15: 2.0,
            cpus: 8,
            memory: 4 << 30,
            memory_available: 1 << 30,
            cpu_pressure: Some(v1::host::Pressure {
                some10: 12.25,
                ..v1::host::Pressure::default()
            }),
            io_pressure: Some(v1::host::Pressure::default()),
            ..v1::Host::default()
        }),
        ..v1::StatusResponse::default()
    }
}

pub(super) fn diff(request: &v1::WorkspaceDiffRequest) -> Vec<v1::WorkspaceDiffResponse> {
    let piece = |text: &str| v1::WorkspaceDiffResponse {
        text: text.as_bytes().to_vec(),
    };
    match (request.task, request.stat) {
        (41, _) => Vec::new(),
        (_, true) => vec![piece(" src/app.ts | 2 +-\n 1 file changed")],
        (_, false) => vec![
            piece("diff --git a/src/app.ts b/src/app.ts\n--- a/src/app.ts\n"),
            piece("+++ b/src/app.ts\n@@ -1 +1 @@\n-grey\n+blue"),
        ],
    }
}

pub(super) fn restored(request: &v1::WorkspaceRestoreRequest) -> v1::WorkspaceRestoreResponse {
    v1::WorkspaceRestoreResponse {
        path: match request.to.as_str() {
            "" => "/state/restored/42.2".to_owned(),
            to => to.to_owned(),
        },
        commit: "9fceb02d0ae598e95dc970b74767f19372d61af8".to_owned(),
        attempt: 2,
    }
}

pub(super) fn removed(request: v1::WorkspaceRemoveRequest) -> v1::WorkspaceRemoveResponse {
    v1::WorkspaceRemoveResponse {
        path: match request.path.as_str() {
            "" => "/state/worktrees/frontend-1/claude-17".to_owned(),
            _ => request.path,
        },
        branch: "agent/claude-17".to_owned(),
    }
}

pub(super) fn copied() -> Vec<v1::BackupResponse> {
    let rows = |rows_done| v1::BackupResponse {
        rows_done,
        rows: 200,
        ..v1::BackupResponse::default()
    };
    let data = |data: &[u8]| v1::BackupResponse {
        data: data.to_vec(),
        size: 2048,
        revision: 40,
        ..v1::BackupResponse::default()
    };
    vec![rows(100), rows(200), data(&[1; 1024]), data(&[2; 1024])]
}

pub(super) fn reloaded(problems: Vec<String>) -> v1::ReloadResponse {
    v1::ReloadResponse {
        config: "/etc/agentd/config.toml".to_owned(),
        applied: vec!["daemon.max_running".to_owned(), "agents.claude".to_owned()],
        needs_restart: vec!["daemon.cgroups".to_owned()],
        problems,
    }
}
