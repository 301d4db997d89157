//! What is followed to its end, over restarts and crashes of the daemon.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
};

use agentd_proto::v1::{self, State, log_line::Stream};
use tonic::{Code, Status};

use super::{
    at,
    canned::{Asked, Daemon, End, LogsAnswer, Script, chunk, line, socket, status, task},
    interrupt, ran, tasks,
};

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
    hint: agentctl start
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
fn whoever_follows_is_told_what_keeps_a_task() {
    let (_dir, socket) = socket();
    let mut held = task(42, State::Queued, None);
    let known = held.task.as_mut().unwrap();
    known.attempt = None;
    known.hold = Some(v1::Hold {
        kind: "held".to_owned(),
        by: "root".to_owned(),
        ..v1::Hold::default()
    });
    held.attempts.clear();
    let mut ended = held.clone();
    ended.task.as_mut().unwrap().set_state(State::Cancelled);
    let nothing = || LogsAnswer {
        chunks: Vec::new(),
        end: End::Clean,
    };
    for (line, said) in [
        (&["logs", "-f", "42"][..], "task 42 waits: held by root\n"),
        (&["logs", "-f", "42", "--raw"], ""),
    ] {
        let _daemon = Daemon::start(
            &socket,
            Script {
                tasks: tasks(vec![held.clone()]),
                later: Some(tasks(vec![ended.clone()])),
                logs: [nothing(), nothing()].into(),
                watches: [(vec![v1::Event::default()], End::Clean)].into(),
                ..Script::default()
            },
        );
        let (code, out, err) = ran(&mut at(&socket, line));
        assert_eq!((code, out.as_str(), err.as_str()), (0, "", said));
    }
}

#[test]
fn of_any_the_one_that_ended_first_is_told_of() {
    let (_dir, socket) = socket();
    let get = |id, state, code, finished_at| v1::Task {
        finished_at,
        ..task(id, state, code).task.unwrap()
    };
    let tasks = vec![
        get(3, State::Failed, Some(7), 2_000),
        get(1, State::Succeeded, Some(0), 1_000),
        get(2, State::Running, None, 0),
    ];
    let timed_out = false;
    let _daemon = Daemon::start(
        &socket,
        Script {
            waits: [Ok(v1::WaitResponse { tasks, timed_out })].into(),
            ..Script::default()
        },
    );
    let any = ["wait", "--any", "3", "1", "2", "-o", "name"];
    let (code, out, err) = ran(&mut at(&socket, &any));
    assert_eq!((code, out.as_str(), err.as_str()), (0, "1\n", ""));
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
    stderr.read_to_string(&mut text).unwrap();
    insta::assert_snapshot!(text, @r"
    working
    task 42

    detached: task 42 goes on, agentctl logs -f 42 follows it again (Ctrl-C now cancels it)

    task 42 is being cancelled
    ");
    assert!(daemon.asked().contains(&Asked::Cancel(vec![42])));
    drop(daemon);

    let daemon = Daemon::start(&socket, script());
    let mut child = at(&socket, &["logs", "-f", "42"]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut text).unwrap();
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!daemon.asked().contains(&Asked::Cancel(vec![42])));
}
