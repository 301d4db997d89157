//! The real program against a canned daemon, or none.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "helpers of tests; they start the program"
)]

mod autostart;
mod canned;
mod follow;

use std::{
    collections::BTreeMap,
    fs,
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
        (&["logs", "1", "--tail", "0"], "0 is not in 1.."),
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
        (&["rerun"], "required"),
        (&["rerun", "--agent", "x"], "required"),
        (&["rerun", "1", "--failed"], "cannot be used with"),
        (&["rerun", "1", "--agent", "x"], "cannot be used with"),
        (&["rerun", "1", "--yes"], "required"),
        (&["rerun", "--dry-run"], "required"),
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
    }
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
fn a_socket_that_does_not_answer_says_why() {
    let (dir, socket) = socket();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let stale = dir.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let long = dir.path().join("x".repeat(120));
    for (path, says) in [
        (&socket, "there is no socket"),
        (&file, "is no socket"),
        (&stale, "nobody listens at"),
        (&long, "a socket's may have 107"),
    ] {
        let args = ["ls", "--socket", path.to_str().unwrap()];
        let (code, out, err) = ran(&mut agentctl(&args));
        assert_eq!((code, out.as_str()), (6, ""), "{err}");
        assert!(err.starts_with("agentctl: cannot reach agentd: "), "{err}");
        assert!(err.contains(says) && err.contains("\nhint: "), "{err}");
    }
}

#[test]
fn a_list_is_data_and_the_rest_is_said_aside() {
    let (_dir, socket) = socket();
    let both = vec![
        task(41, State::Failed, Some(3)),
        task(42, State::Running, None),
    ];
    let daemon = Daemon::start(
        &socket,
        Script {
            tasks: tasks(both),
            more: 7,
            ..Script::default()
        },
    );
    let (code, out, err) = ran(&mut at(&socket, &["ls", "-q", "--failed"]));
    assert_eq!((code, out.as_str()), (0, "42\n41\n"));
    assert_eq!(err, "7 more: --limit N or --all shows them\n");
    let (_, out, _) = ran(&mut at(&socket, &["ls", "--all", "-o", "jsonl"]));
    assert_eq!(out.lines().count(), 2);
    let (_, out, _) = ran(&mut at(&socket, &["ls", "-o", "json"]));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&json["schema"], &json["more"]),
        (&"agentctl.tasks/v1".into(), &7.into())
    );
    let Asked::List(first) = &daemon.asked()[0] else {
        panic!("not a list");
    };
    let failed = [State::Failed, State::Interrupted, State::Aborted].map(i32::from);
    assert_eq!(first.filter.as_ref().unwrap().states, failed);
    assert_eq!(first.page_size, 50);
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let (_dir, socket) = socket();
    let one = vec![task(42, State::Running, None)];
    let _daemon = Daemon::start(
        &socket,
        Script {
            tasks: tasks(one),
            ..Script::default()
        },
    );
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (code, _, err) = ran(at(&socket, &["ls"]).stdout(writer));
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn several_are_stopped_one_by_one() {
    let (_dir, socket) = socket();
    let both = vec![
        task(40, State::Running, None),
        task(42, State::Failed, Some(3)),
    ];
    let _daemon = Daemon::start(
        &socket,
        Script {
            tasks: tasks(both),
            ..Script::default()
        },
    );
    let (code, out, err) = ran(&mut at(&socket, &["cancel", "40-42"]));
    assert_eq!((code, out.as_str()), (3, ""));
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

#[test]
fn the_agents_and_what_they_lack() {
    let (_dir, socket) = socket();
    let _daemon = Daemon::start(&socket, Script::default());
    let (code, out, _) = ran(&mut at(&socket, &["agents"]));
    assert_eq!(code, 0);
    insta::assert_snapshot!(out, @r"
    NAME    TYPE     VERSION                LOGIN  RUNNING  SLOTS  STATE    PROGRAM
    claude  claude   2.1.329 (Claude Code)  no     1        4      trouble  /usr/bin/claude
    shell   command  -                      -      0        4      ready    -
    claude: not logged [2J in
      hint: log in
    ");
    let (_, out, _) = ran(&mut at(&socket, &["agents", "-o", "json"]));
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["schema"], "agentctl.agents/v1");
    let [claude, shell] = &found["agents"].as_array().unwrap()[..] else {
        panic!("not two agents: {out}");
    };
    assert_eq!(claude["logged_in"], false);
    assert_eq!(claude["troubles"][0]["hint"], "log in");
    assert_eq!(shell["logged_in"], serde_json::Value::Null);
    assert_eq!(shell["version"], serde_json::Value::Null);
}

#[test]
fn the_status_of_the_daemon() {
    let (_dir, socket) = socket();
    let _daemon = Daemon::start(&socket, Script::default());
    let (code, out, _) = ran(&mut at(&socket, &["status"]));
    assert_eq!(code, 0);
    insta::assert_snapshot!(out, @r"
    agentd:      9.9.9 (ready)
    pid:         77
    incarnation: 3
    tasks:       2 queued, 0 starting, 1 running, 0 stopping
    slots:       4
    recovery:    2 of 2 resolved, 1 adopted, 1 reaped
    socket:      /run/agentd.sock
    state:       /state
    free:        3.0 GiB; nothing is started below 256.0 MiB
    store:       1.5 MiB
    load:        0.50 1.25 2.00 on 8 CPUs
    memory:      1.0 GiB of 4.0 GiB available
    pressure:    cpu 12.2 %, io 0.0 %

    agents
      NAME   TYPE     RUNNING  SLOTS  QUEUED  STATE
      shell  command  1        4      2       paused
    ");
    let (_, out, _) = ran(&mut at(&socket, &["status", "-o", "json"]));
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(status["schema"], "agentctl.status/v1");
    assert_eq!(status["agents"][0]["paused"], true);
    assert_eq!(status["host"]["cpu_pressure"]["some_avg10"], 12.25);
    assert_eq!(status["host"]["memory_pressure"], serde_json::Value::Null);
    assert_eq!(status["host"]["memory_bytes"], 4_u64 << 30);
    assert_eq!(status["state_free_bytes"], 3_u64 << 30);
    assert_eq!(status["backup"], serde_json::Value::Null);
}
