//! The real program against a canned daemon, or none.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "helpers of tests; they start the program"
)]

mod canned;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use agentd_proto::v1::{self, State, log_line::Stream};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tonic::{Code, Status};

use canned::{Asked, Daemon, End, LogsAnswer, Script, chunk, line, socket, status, task};

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
fn run_ends_as_the_agent_did() {
    let (dir, socket) = socket();
    let lines = vec![
        line(Stream::Stdout, "to stdout"),
        line(Stream::Stderr, "to stderr"),
        line(Stream::Note, "a note"),
        v1::LogLine {
            partial: true,
            ..line(Stream::Stdout, "no newline")
        },
    ];
    let answer = || LogsAnswer {
        chunks: vec![v1::LogsResponse {
            attempt: 1,
            lines: lines.clone(),
            next_offset: 99,
        }],
        end: End::Clean,
    };
    let rest = || LogsAnswer {
        chunks: Vec::new(),
        end: End::Clean,
    };
    let mut failed = task(42, State::Failed, Some(3));
    let known = failed.task.as_mut().unwrap();
    known.failure_reason = "agent_error".to_owned();
    known.message = "exit code 3".to_owned();
    known.attempt.as_mut().unwrap().branch = "agentd/42".to_owned();
    let daemon = Daemon::start(
        &socket,
        Script {
            tasks: tasks(vec![failed]),
            logs: [answer(), rest(), answer(), rest()].into(),
            ..Script::default()
        },
    );
    let repo = dir.path().to_str().unwrap();
    let args = [
        "run",
        "-C",
        repo,
        "--propagate",
        "--max-attempts",
        "2",
        "--",
        "sh",
        "-c",
        "x y",
    ];
    let (code, out, err) = ran(&mut at(&socket, &args));
    assert_eq!((code, out.as_str()), (3, "to stdout\nno newline"));
    insta::assert_snapshot!(err, @r"
    task 42
    to stderr
    a note
    task 42 failed: agent_error: exit code 3
    branch agentd/42
    ");
    let Asked::Submit(request) = &daemon.asked()[0] else {
        panic!("not a submit");
    };
    assert_eq!(
        (request.agent.as_str(), request.title.as_str()),
        ("shell", "sh -c 'x y'")
    );
    assert_eq!(request.command, ["sh", "-c", "x y"]);
    assert_eq!(request.limits.unwrap().max_attempts, Some(2));
    assert_eq!(
        request.repo,
        fs::canonicalize(dir.path()).unwrap().to_str().unwrap()
    );
    assert_eq!(request.request_id.len(), 32);

    let (code, ..) = ran(&mut at(&socket, &["run", "do it"]));
    assert_eq!(code, 1);
}

#[test]
fn following_goes_on_where_it_was_lost() {
    let (_dir, socket) = socket();
    let (again, stopping) = (
        Status::unavailable("broken"),
        status(
            Code::Unavailable,
            agentd_proto::reason::DAEMON_STOPPING,
            "bye",
        ),
    );
    let mut two = task(42, State::Succeeded, Some(0));
    let second = v1::Attempt {
        number: 2,
        ..two.attempts[0].clone()
    };
    two.attempts.push(second);
    let answers = [
        (
            vec![chunk(1, "one", 10), chunk(1, "two", 20)],
            End::Status(again),
        ),
        (vec![chunk(1, "three", 30)], End::Status(stopping)),
        // The attempt's end; then the rest of it, and the next one.
        (vec![], End::Clean),
        (vec![chunk(1, "four", 40)], End::Clean),
        (vec![chunk(2, "five", 5)], End::Clean),
        (vec![], End::Clean),
    ];
    let daemon = Daemon::start(
        &socket,
        Script {
            tasks: tasks(vec![two]),
            logs: answers
                .map(|(chunks, end)| LogsAnswer { chunks, end })
                .into(),
            ..Script::default()
        },
    );
    let (code, out, err) = ran(&mut at(&socket, &["logs", "-f", "42", "--tail", "9"]));
    assert_eq!(
        (code, out.as_str()),
        (0, "one\ntwo\nthree\nfour\nfive\n"),
        "{err}"
    );
    let places: Vec<_> = daemon
        .asked()
        .into_iter()
        .filter_map(|asked| {
            let Asked::Logs(q) = asked else {
                return None;
            };
            Some((q.attempt, q.offset, q.tail, q.follow))
        })
        .collect();
    assert_eq!(
        places,
        [
            (0, 0, 9, true),
            (1, 20, 0, true),
            (1, 30, 0, true),
            (1, 30, 0, false),
            (2, 0, 0, true),
            (2, 5, 0, false),
        ]
    );
}

#[test]
fn following_waits_for_a_retry() {
    let (_dir, socket) = socket();
    let waiting = task(42, State::Queued, Some(3));
    let mut ended = task(42, State::Succeeded, Some(0));
    let retry = v1::Attempt {
        number: 2,
        ..ended.attempts[0].clone()
    };
    ended.attempts.push(retry);
    let answers = [
        vec![chunk(1, "one", 10)],
        vec![],
        vec![chunk(2, "two", 10)],
        vec![],
    ];
    let daemon = Daemon::start(
        &socket,
        Script {
            tasks: tasks(vec![waiting]),
            later: Some(tasks(vec![ended])),
            logs: answers
                .map(|chunks| LogsAnswer {
                    chunks,
                    end: End::Clean,
                })
                .into(),
            watches: [(vec![v1::Event::default()], End::Open)].into(),
            ..Script::default()
        },
    );
    let (code, out, err) = ran(&mut at(&socket, &["logs", "-f", "42"]));
    assert_eq!((code, out.as_str()), (0, "one\ntwo\n"));
    assert_eq!(err, "attempt 42.2\n");
    assert!(daemon.asked().contains(&Asked::Watch(v1::WatchRequest {
        after_revision: 420,
        from_start: false,
        task: 42,
    })));
}

#[test]
fn watching_goes_on_behind_the_last_revision() {
    let (_dir, socket) = socket();
    let event = |revision, what: &str| v1::Event {
        revision,
        task: 42,
        attempt: 1,
        what: what.to_owned(),
        ..v1::Event::default()
    };
    let (broken, stopping) = (Status::unavailable("broken"), End::Clean);
    let daemon = Daemon::start(
        &socket,
        Script {
            tasks: tasks(vec![task(42, State::Succeeded, Some(0))]),
            watches: [
                (vec![event(41, "claimed")], End::Status(broken)),
                (vec![event(42, "running"), event(45, "succeeded")], stopping),
            ]
            .into(),
            ..Script::default()
        },
    );
    let (code, out, err) = ran(&mut at(&socket, &["watch", "42", "-o", "jsonl"]));
    assert_eq!((code, err.as_str()), (0, ""));
    let whats: Vec<_> = out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|event| event["what"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(whats, ["claimed", "running", "succeeded"]);
    let places: Vec<_> = daemon
        .asked()
        .into_iter()
        .filter_map(|asked| {
            let Asked::Watch(q) = asked else {
                return None;
            };
            Some((q.after_revision, q.from_start, q.task))
        })
        .collect();
    assert_eq!(places, [(40, false, 42), (41, false, 42)]);
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
    store:       1.5 MiB

    agents
      NAME   TYPE     RUNNING  SLOTS  QUEUED  STATE
      shell  command  1        4      2       paused
    ");
    let (_, out, _) = ran(&mut at(&socket, &["status", "-o", "json"]));
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(status["schema"], "agentctl.status/v1");
    assert_eq!(status["agents"][0]["paused"], true);
}

#[test]
fn following_survives_a_crash_of_the_daemon() {
    let (_dir, socket) = socket();
    let answers = |text, offset, end| Script {
        tasks: tasks(vec![task(42, State::Succeeded, Some(0))]),
        logs: [
            LogsAnswer {
                chunks: vec![chunk(1, text, offset)],
                end,
            },
            LogsAnswer {
                chunks: vec![],
                end: End::Clean,
            },
        ]
        .into(),
        ..Script::default()
    };
    let first = Daemon::start(&socket, answers("before", 10, End::Open));
    let mut child = at(&socket, &["logs", "-f", "42"]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut seen = String::new();
    stdout.read_line(&mut seen).unwrap();
    assert_eq!(seen, "before\n");
    drop(first);
    let second = Daemon::start(&socket, answers("after", 20, End::Clean));
    stdout.read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "before\nafter\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let Asked::Logs(request) = &second.asked()[0] else {
        panic!("not logs");
    };
    assert_eq!((request.attempt, request.offset), (1, 10));
}

#[test]
fn waiting_survives_a_restart_and_tells_the_result() {
    let (_dir, socket) = socket();
    let get = |id, state, code| task(id, state, code).task.unwrap();
    let answer = |tasks, timed_out| Ok(v1::WaitResponse { tasks, timed_out });
    let ended = || {
        vec![
            get(1, State::Succeeded, Some(0)),
            get(2, State::Failed, Some(7)),
        ]
    };
    let daemon = Daemon::start(
        &socket,
        Script {
            waits: [
                Err(Status::unavailable("broken")),
                // A daemon that is about to stop.
                answer(vec![get(1, State::Running, None)], false),
                answer(ended(), false),
                answer(ended(), false),
                answer(vec![get(1, State::Running, None)], true),
            ]
            .into(),
            ..Script::default()
        },
    );
    let (code, out, err) = ran(&mut at(&socket, &["wait", "1", "2"]));
    assert_eq!((code, out.as_str()), (1, ""));
    insta::assert_snapshot!(err, @r"
    agentd went away: waiting for it to come back
    task 1 succeeded in 3.2s
    task 2 failed
    ");
    let (code, out, err) = ran(&mut at(
        &socket,
        &["wait", "1-2", "--propagate", "-o", "name"],
    ));
    assert_eq!((code, out.as_str(), err.as_str()), (7, "1\n2\n", ""));
    let (code, _, err) = ran(&mut at(&socket, &["wait", "1", "--timeout", "1m"]));
    assert_eq!(
        (code, err.as_str()),
        (8, "the time is over: 1 of 1 task not ended\n")
    );
    assert_eq!(daemon.asked().len(), 5);
}

#[test]
fn an_interrupt_detaches_and_a_second_one_cancels() {
    let (_dir, socket) = socket();
    let script = || Script {
        tasks: tasks(vec![task(42, State::Running, None)]),
        logs: [LogsAnswer {
            chunks: vec![chunk(1, "working", 10)],
            end: End::Open,
        }]
        .into(),
        ..Script::default()
    };
    let daemon = Daemon::start(&socket, script());
    let mut child = at(&socket, &["run", "do it"]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    stdout.read_line(&mut text).unwrap();
    interrupt(&child);
    // Which task it is, an empty line, then the message.
    for _ in 0..3 {
        stderr.read_line(&mut text).unwrap();
    }
    assert!(text.contains("agentctl logs -f 42"), "{text}");
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(daemon.asked().contains(&Asked::Cancel(42)));
    drop(daemon);

    let daemon = Daemon::start(&socket, script());
    let mut child = at(&socket, &["logs", "-f", "42"]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut text).unwrap();
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!daemon.asked().contains(&Asked::Cancel(42)));
}

/// A copy of the program with a program `agentd` beside it, and an environment
/// in which nothing else is found.
fn with_neighbour(dir: &Path, agentd: &str) -> Command {
    use std::os::unix::fs::PermissionsExt as _;
    let own = dir.join("agentctl");
    fs::copy(env!("CARGO_BIN_EXE_agentctl"), &own).unwrap();
    let neighbour = dir.join("agentd");
    fs::write(&neighbour, agentd).unwrap();
    fs::set_permissions(&neighbour, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(own);
    command
        .env_clear()
        .env("HOME", dir)
        .env("XDG_RUNTIME_DIR", dir.join("run"))
        .args(["submit", "do it"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn a_daemon_that_dies_at_its_start_is_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = with_neighbour(
        dir.path(),
        "#!/bin/sh\necho 'the store is locked' >&2\nexit 4\n",
    );
    let (code, out, err) = ran(&mut command);
    assert_eq!((code, out.as_str()), (6, ""), "{err}");
    assert!(
        err.contains("(exit status: 4): the store is locked\n"),
        "{err}"
    );

    let (code, _, err) = ran(command.env("AGENTCTL_NO_AUTOSTART", "1"));
    assert_eq!(code, 6);
    assert!(
        err.contains("there is no socket") && !err.contains("started"),
        "{err}"
    );

    let units = dir.path().join(".config/systemd/user");
    fs::create_dir_all(&units).unwrap();
    fs::write(units.join("agentd.service"), "").unwrap();
    let (code, _, err) = ran(command.env_remove("AGENTCTL_NO_AUTOSTART"));
    assert_eq!(code, 6);
    assert!(
        err.ends_with("hint: systemctl --user start agentd\n"),
        "{err}"
    );
}

#[test]
fn a_daemon_is_started_if_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    // Stands for a daemon that takes its time until it listens.
    let mut command = with_neighbour(dir.path(), "#!/bin/sh\nexec /bin/sleep 60\n");
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    let pid: i32 = said
        .strip_prefix("started agentd (pid ")
        .and_then(|rest| rest.split_once(')'))
        .and_then(|(pid, _)| pid.parse().ok())
        .unwrap_or_else(|| panic!("{said}"));
    let runtime = dir.path().join("run/agentd");
    fs::create_dir_all(&runtime).unwrap();
    let _daemon = Daemon::start(
        &runtime.join("agentd.sock"),
        Script {
            tasks: tasks(vec![task(42, State::Queued, None)]),
            ..Script::default()
        },
    );
    let (code, out, _) = told(child.wait_with_output().unwrap());
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    assert_eq!((code, out.as_str()), (0, "42\n"));
}
