//! Data on stdout and the rest on stderr: lists, columns, colours, closed pipes.

use std::io::{BufRead as _, BufReader};

use agentd_proto::v1::State;

use super::{
    at,
    canned::{Asked, Daemon, Script, socket, task},
    ran, tasks, told,
};

#[test]
fn a_list_is_data_and_the_rest_is_said_aside() {
    let (_dir, socket) = socket();
    let both = vec![
        task(41, State::Failed, Some(3)),
        task(42, State::Aborted, Some(79)),
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
    // Who asks for ids alone gets nothing else.
    assert_eq!(err, "");
    let (_, _, err) = ran(&mut at(&socket, &["ls", "--failed"]));
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
fn metrics_are_printed_as_they_come() {
    let (_dir, socket) = socket();
    let _daemon = Daemon::start(&socket, Script::default());
    for (args, told) in [
        (&["metrics"][..], "FORMAT_PROMETHEUS\n"),
        (&["metrics", "--openmetrics"], "FORMAT_OPENMETRICS\n"),
    ] {
        let said = ran(&mut at(&socket, args));
        assert_eq!(said, (0, told.to_owned(), String::new()));
    }
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let (_dir, socket) = socket();
    // More than a pipe holds, so that some of it is written after the end.
    let many = (1..=2_000).map(|id| task(id, State::Running, None));
    let _daemon = Daemon::start(
        &socket,
        Script {
            tasks: tasks(many.collect()),
            ..Script::default()
        },
    );
    for args in [
        &["ls"][..],
        &["ls", "-o", "yaml"],
        &["ls", "--all", "-o", "jsonl"],
        &["status"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (code, _, err) = ran(at(&socket, args).stdout(writer));
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
    }
    // As `| head -1` does it.
    let mut child = at(&socket, &["ls", "--all", "-o", "jsonl"])
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    drop(stdout);
    assert!(
        first.starts_with("{\"schema\":\"agentctl.task/v1\""),
        "{first}"
    );
    let (code, _, err) = told(child.wait_with_output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn columns_are_chosen_by_their_heads() {
    let (_dir, socket) = socket();
    let both = vec![
        task(41, State::Failed, Some(3)),
        task(42, State::Running, None),
    ];
    let _daemon = Daemon::start(
        &socket,
        Script {
            tasks: tasks(both),
            ..Script::default()
        },
    );
    let (code, out, _) = ran(&mut at(&socket, &["ls", "--columns", "State,id,took"]));
    assert_eq!(code, 0);
    let of_running = out.lines().nth(1).unwrap();
    assert!(
        out.starts_with("STATE    ID") && of_running.starts_with("running  42"),
        "{out}"
    );
    // One of the wide table, without heads.
    let args = ["ls", "--no-headers", "--columns", "id,attempts"];
    let (_, out, _) = ran(&mut at(&socket, &args));
    assert_eq!(out, "42  1\n41  1\n");
    for (args, says) in [
        (&["ls", "--columns", "stat"][..], "'state'"),
        (
            &["ls", "--columns", "id,prize"],
            "possible values: id, state, agent",
        ),
        (&["ls", "--columns", "id", "-q"], "cannot be used with"),
        (
            &["ls", "--columns", "id", "-o", "json"],
            "--columns is for tables",
        ),
        (&["sessions", "--columns", "used-bye"], "'used-by'"),
        (&["usage", "--columns", "costs"], "'cost'"),
    ] {
        let (code, out, err) = ran(&mut at(&socket, args));
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
        assert!(err.contains(says), "{args:?}: {err}");
    }
}

#[test]
fn the_agents_and_what_they_lack() {
    let (_dir, socket) = socket();
    let _daemon = Daemon::start(&socket, Script::default());
    let (code, out, err) = ran(&mut at(&socket, &["agents"]));
    assert_eq!(code, 0);
    insta::assert_snapshot!(out, @r"
    NAME    TYPE     VERSION                LOGIN  RUNNING  SLOTS  STATE    PROGRAM
    claude  claude   2.1.329 (Claude Code)  no           1      4  trouble  /usr/bin/claude
    shell   command  -                      -            0      4  ready    -
    ");
    // What is not data is said aside.
    assert_eq!(err, "claude: not logged [2J in\n  hint: log in\n");
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
    // How long ago that was goes by the clock.
    let (before, after) = out.split_once(" (seen ").unwrap();
    let (_, after) = after.split_once(" ago)").unwrap();
    let out = format!("{before}{after}");
    insta::assert_snapshot!(out, @r"
    agentd:      9.9.9 (ready)
    pid:         77
    incarnation: 3
    tasks:       2 queued, 0 starting, 1 running, 0 stopping
    slots:       4
    notices:     webhook https://chat.example.org/…; not taken since 2026-03-01 11:59:00, last of task 41: the server answers 502 Bad Gateway; 1 given up, last of task 40
    recovery:    2 of 2 resolved, 1 adopted, 1 reaped
    socket:      /run/agentd.sock
    state:       /state
    free:        3.0 GiB; nothing is started below 256.0 MiB
    store:       1.5 MiB
    load:        0.50 1.25 2.00 on 8 CPUs
    memory:      1.0 GiB of 4.0 GiB available
    pressure:    cpu 12.2 %, io 0.0 %

    agents
      NAME    TYPE     RUNNING  SLOTS  QUEUED  STATE
      claude  claude         0      4       0  trouble
      shell   command        1      4       2  paused
      claude: not logged [2J in
        hint: log in
    ");
    let (_, out, _) = ran(&mut at(&socket, &["status", "-o", "json"]));
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(status["schema"], "agentctl.status/v1");
    assert_eq!(status["agents"][1]["paused"], true);
    assert_eq!(status["agents"][0]["troubles"][0]["hint"], "log in");
}

#[test]
fn colours_are_where_they_are_seen_or_asked_for() {
    let (_dir, socket) = socket();
    let one = vec![task(42, State::Failed, Some(3))];
    let _daemon = Daemon::start(
        &socket,
        Script {
            tasks: tasks(one),
            ..Script::default()
        },
    );
    let colored = |args: &[&str], env: &[(&str, &str)]| {
        let (code, out, err) = ran(at(&socket, args).envs(env.iter().copied()));
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("failed"), "{out}");
        out.contains("\u{1b}[31mfailed")
    };
    let (no, force) = (("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1"));
    for (args, env, expected) in [
        (&["ls"][..], &[][..], false),
        (&["ls"], &[force], true),
        (&["ls"], &[no, force], false),
        (&["ls", "--color", "always"], &[no], true),
        (&["ls", "--color", "never"], &[force], false),
        // What scripts read has none, whatever was asked for.
        (&["ls", "-o", "json", "--color", "always"], &[], false),
        (&["ls", "-o", "yaml", "--color", "always"], &[], false),
    ] {
        assert_eq!(colored(args, env), expected, "{args:?} {env:?}");
    }
}

#[test]
fn a_slip_in_a_name_is_not_just_nothing() {
    let (_dir, socket) = socket();
    let mut got = task(42, State::Failed, Some(3));
    got.task.as_mut().unwrap().repo = "/src/frontend".to_owned();
    let _daemon = Daemon::start(
        &socket,
        Script {
            tasks: tasks(vec![got]),
            ..Script::default()
        },
    );
    for (which, says) in [
        (
            ["--agent", "shel"],
            "there is no agent shel: did you mean shell?\n",
        ),
        (["--agent", "zzz"], "there is no agent zzz\n"),
        (["--agent", "shell"], ""),
        (
            ["--repo", "/src/frontnd"],
            "no recent task is in /src/frontnd: did you mean /src/frontend?\n",
        ),
        (["--repo", "/src/frontend"], ""),
    ] {
        let args = [&["ls", "--state", "starting"][..], &which].concat();
        let (code, out, err) = ran(&mut at(&socket, &args));
        assert_eq!((code, out.as_str()), (0, ""));
        assert_eq!(err, format!("no tasks\n{says}"));
    }
}
