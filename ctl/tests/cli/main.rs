//! The real program against a canned daemon, or none.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "helpers of tests; they start the program"
)]

mod autostart;
mod canned;
mod doctor;
mod follow;
mod output;
mod refusal;
mod service;

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use agentd_proto::v1::{self, State};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tonic::{Code, Status};

use canned::{Asked, Daemon, Script, socket, status, task};

fn agentctl(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentctl"));
    command
        .args(args)
        .env_clear()
        .env("AGENTCTL_NO_AUTOSTART", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its end: exit code, stdout, stderr.
fn ran(command: &mut Command) -> (i32, String, String) {
    told(command.output().unwrap())
}

fn told(output: Output) -> (i32, String, String) {
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn at(socket: &Path, args: &[&str]) -> Command {
    let mut command = agentctl(args);
    command.env("AGENTD_SOCKET", socket);
    command
}

fn tasks(of: Vec<v1::GetResponse>) -> BTreeMap<u64, v1::GetResponse> {
    of.into_iter()
        .map(|got| (got.task.as_ref().unwrap().id, got))
        .collect()
}

fn interrupt(child: &Child) {
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
}

#[test]
fn the_version_needs_no_daemon() {
    let (dir, socket) = socket();
    let own = format!("agentctl {}\n", env!("CARGO_PKG_VERSION"));
    let (code, out, err) = ran(&mut at(&socket, &["version"]));
    assert_eq!(
        (code, out, err.as_str()),
        (0, own.clone(), "agentd cannot be reached\n")
    );

    let daemon = Daemon::start(&socket, Script::default());
    let (code, out, err) = ran(&mut at(&socket, &["version"]));
    assert_eq!(
        (code, out, err),
        (0, format!("{own}agentd 9.9.9\n"), String::new())
    );
    drop((daemon, dir));
}

#[test]
fn malformed_arguments_are_wrong_usage() {
    for (args, says) in [
        (&["show", ""][..], "the id is empty"),
        (&["show", "x"], "not a task id"),
        (&["show", "42.0"], "not an attempt"),
        (&["cancel", "44-40"], "runs backwards"),
        (&["cancel"], "required"),
        (&["wait", "0"], "counted from 1"),
        (&["wait", "1", "--timeout", "5"], "needs a unit"),
        (&["ls", "--state", "faild"], "'failed'"),
        (&["ls", "--failed", "--active"], "cannot be used with"),
        (&["ls", "--since", "whenever"], "not a time"),
        (&["submit"], "there is nothing to do"),
        (&["submit", ""], "the prompt is empty"),
        (&["submit", " \n "], "the prompt is empty"),
        (&["submit", "-"], "the prompt is empty"),
        (&["submit", "fix it", "--", "make"], "cannot be used with"),
        (
            &["submit", "fix it", "--repo", "/no/such/place"],
            "cannot use the repository",
        ),
        (
            &["submit", "fix it", "--workspace", "worktree"],
            "needs a repository",
        ),
        (
            &["submit", "fix it", "--timeout", "0s"],
            "longer than nothing",
        ),
        (&["submit", "fix it", "--label", "x"], "KEY=VALUE"),
        (
            &["submit", "fix it", "--queue", "--replace"],
            "cannot be used with",
        ),
        (&["rerun", "1", "--prompt", ""], "the prompt is empty"),
        (&["rerun"], "no task is named"),
        (&["rerun", "--agent", "x"], "agentctl rerun --failed"),
        (&["rerun", "1", "--failed"], "cannot be used with"),
        (&["rerun", "1", "--agent", "x"], "cannot be used with"),
        (&["rerun", "1", "--yes"], "required"),
        (&["rerun", "--dry-run"], "no task is named"),
        (
            &["logs", "1", "--tail", "x"],
            "expected a whole number, 0 or more",
        ),
        (
            &["submit", "x", "--priority", "x"],
            "expected a whole number such as",
        ),
        (
            &["prune", "--keep", "x"],
            "expected a whole number, 0 or more",
        ),
        (
            &["ls", "--limit", "0"],
            "expected a whole number, 1 or more",
        ),
        (
            &["rerun", "--failed", "--unsuccessful"],
            "cannot be used with",
        ),
        (&["rerun", "--failed", "--force"], "cannot be used with"),
        (&["rerun", "--failed", "--yes", "--replace"], "by their ids"),
        (&["rerun", "--failed"], "--yes does not ask"),
        (
            &["rerun", "--failed", "--dry-run", "-q"],
            "cannot be used with",
        ),
    ] {
        // Nobody is asked: there is nobody.
        let (code, out, err) = ran(&mut at(Path::new("/no/socket"), args));
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
        assert!(err.contains(says), "{args:?}: {err}");
        assert!(err.starts_with("agentctl: "), "{args:?}: {err}");
    }
}

#[test]
fn a_backup_needs_a_directory() {
    let (dir, socket) = socket();
    let _daemon = Daemon::start(&socket, Script::default());
    let file = dir.path().join("none/x");
    let (code, _, err) = ran(&mut at(&socket, &["backup", file.to_str().unwrap()]));
    assert_eq!(code, 1, "{err}");
    let none = dir.path().join("none");
    let none = none.display();
    assert_eq!(
        err,
        format!(
            "agentctl: cannot write {none}/x: there is no directory {none}\n\
             hint: mkdir -p {none}, or name another file\n"
        )
    );
}

#[test]
fn a_rerun_of_named_tasks_is_shown_first_and_told_as_data() {
    let (_dir, socket) = socket();
    let both = vec![
        task(40, State::Running, None),
        task(42, State::Failed, Some(3)),
    ];
    let new = v1::SubmitResponse {
        task: task(43, State::Queued, None).task,
        existing: false,
        replaced: Vec::new(),
    };
    let daemon = Daemon::start(
        &socket,
        Script {
            tasks: tasks(both),
            reruns: [Ok(new)].into(),
            ..Script::default()
        },
    );
    let (code, out, err) = ran(&mut at(&socket, &["rerun", "40", "42", "--dry-run"]));
    assert_eq!(
        (code, out.as_str()),
        (4, "would run again: task 42 failed\n")
    );
    assert!(
        err.starts_with("agentctl: task 40 has not ended\n"),
        "{err}"
    );
    let asked = daemon.asked();
    assert!(!asked.iter().any(|asked| matches!(asked, Asked::Rerun(_))));
    let (code, out, err) = ran(&mut at(&socket, &["rerun", "42", "-o", "json"]));
    assert_eq!((code, err.as_str()), (0, ""));
    let out: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out["reruns"][0]["new_task"], 43, "{out}");
}

#[test]
fn a_prompt_may_not_be_endless() {
    let mut child = at(Path::new("/no/socket"), &["submit", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&vec![b'x'; 1024 * 1024 + 1]).unwrap();
    drop(stdin);
    let (code, _, err) = told(child.wait_with_output().unwrap());
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("longer than 1 MiB"), "{err}");
}

#[test]
fn several_are_stopped_one_by_one() {
    let (_dir, socket) = socket();
    let both = vec![
        task(40, State::Running, None),
        task(42, State::Failed, Some(3)),
    ];
    let daemon = Daemon::start(
        &socket,
        Script {
            tasks: tasks(both),
            ..Script::default()
        },
    );
    let (code, out, err) = ran(&mut at(&socket, &["cancel", "40-42"]));
    assert_eq!((code, out.as_str()), (3, ""));
    // In one request, so that none of them gets the slot of another.
    assert_eq!(daemon.asked(), [Asked::Cancel(vec![40, 41, 42])]);
    insta::assert_snapshot!(err, @r"
    task 40 is being stopped
    agentctl: no task 41
    hint: agentctl ls shows the tasks there are
    task 42 has failed already
    ");
    let (code, ..) = ran(&mut at(&socket, &["kill", "42"]));
    assert_eq!(code, 0);
}

#[test]
fn a_rerun_prints_the_new_id_or_why_not() {
    let (_dir, socket) = socket();
    let new = v1::SubmitResponse {
        task: task(43, State::Queued, None).task,
        existing: false,
        replaced: vec![41],
    };
    let busy = || {
        status(
            Code::AlreadyExists,
            agentd_proto::reason::KEY_BUSY,
            "task 41 is active for this issue",
        )
    };
    let daemon = Daemon::start(
        &socket,
        Script {
            reruns: [Err(Status::unavailable("broken")), Ok(new), Err(busy())].into(),
            ..Script::default()
        },
    );
    let args = [
        "rerun",
        "40",
        "41",
        "--model",
        "m",
        "--append-prompt",
        "and test it",
        "--queue",
    ];
    let (code, out, err) = ran(&mut at(&socket, &args));
    assert_eq!((code, out.as_str()), (4, "43\n"));
    insta::assert_snapshot!(err, @r"
    task 41 was cancelled: replaced by task 43
    task 43 runs task 40 again
    agentctl: task 41 is active for this issue
    hint: --queue waits for that task, --replace cancels it first
    ");
    let reruns: Vec<_> = daemon
        .asked()
        .into_iter()
        .filter_map(|asked| {
            let Asked::Rerun(q) = asked else {
                return None;
            };
            Some(q)
        })
        .collect();
    // The one that was lost is asked for again by the same id.
    assert_eq!(reruns[0], reruns[1]);
    assert_ne!(reruns[1].request_id, reruns[2].request_id);
    assert_eq!(reruns[0].append_prompt, "and test it");
    assert_eq!(reruns[0].on_busy, i32::from(v1::OnBusy::Queue));
}
