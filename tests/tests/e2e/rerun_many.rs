//! Running many tasks again with one command.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::Stdio,
    thread,
};

use agentd_tests::{
    Gate, Output, TestDaemon,
    v1::{CancelRequest, SubmitRequest},
};
use nix::{
    pty::openpty,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::task::JoinSet;

/// Tasks of the longest run.
const MANY: u64 = 400;

/// Lines of the document for scripts: task, outcome, new task.
fn reruns(document: &Value) -> Vec<(u64, String, Option<u64>)> {
    assert_eq!(document["schema"], "agentctl.reruns/v1");
    let entries = document["reruns"].as_array().unwrap().iter();
    let entry = |it: &Value| {
        let outcome = it["outcome"].as_str().unwrap().to_owned();
        (
            it["task"].as_u64().unwrap(),
            outcome,
            it["new_task"].as_u64(),
        )
    };
    entries.map(entry).collect()
}

fn ids(daemon: &TestDaemon) -> String {
    let listed = daemon.ctl(&["ls", "--all", "-o", "name"]).ok();
    listed.text().to_owned()
}

#[test]
fn those_that_match_run_again_once() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    // Each its own: one opening may let two pass.
    let gates = [daemon.gate("one"), daemon.gate("two")];
    // Fails until the flag is there, then it waits.
    let flag = daemon.arg("flag");
    let [one, two] = [0, 1].map(|n: usize| {
        let gate = gates[n].path();
        format!("[ -e {flag} ] || exit 1; read _ <{gate}")
    });
    let of_issue = ["-C", repo.arg(), "--issue", "7", "--", "sh", "-c", &two];
    let labelled = ["--label", "team=web", "--", "sh", "-c", &one];
    for args in [&labelled[..], &of_issue, &of_issue, &["--", "true"]] {
        let task = daemon.submit(args);
        daemon.wait(task);
    }
    let before = ids(&daemon);

    let refused = daemon.ctl(&["rerun", "--failed"]);
    refused.refused(2, &["no terminal", "hint: --yes", "--dry-run"]);
    let dry = daemon.ctl(&["rerun", "--failed", "--dry-run"]).ok();
    assert_eq!(
        dry.text().lines().map(|l| &l[..32]).collect::<Vec<_>>(),
        [
            "would run again: task 1 failed: ",
            "task 2 is skipped: task 3 of the",
            "would run again: task 3 failed: "
        ]
    );
    let labelled = [
        "rerun",
        "--failed",
        "--label",
        "team=web",
        "--dry-run",
        "-o",
        "json",
    ];
    let dry = daemon.ctl(&labelled).json();
    assert_eq!(reruns(&dry), [(1, "would_run".to_owned(), None)]);
    for nothing in [["--since", "2999-01-01"], ["--agent", "other"]] {
        let none = daemon.ctl(&[&["rerun", "--failed", "--yes"][..], &nothing].concat());
        assert!(none.stderr.contains("no tasks match"), "{none:?}");
        assert_eq!(none.ok().text(), "");
    }
    assert_eq!(ids(&daemon), before, "nothing was done");

    File::create(&flag).unwrap();
    let all = daemon.ctl(&["rerun", "--failed", "--yes"]).ok();
    assert_eq!(all.text(), "5\n6\n");
    for says in [
        "task 5 runs task 1 again",
        "task 2 is skipped: task 3",
        "2 run again, 1 skipped",
    ] {
        assert!(all.stderr.contains(says), "{says:?}: {}", all.stderr);
    }
    assert_eq!(daemon.show(5)["rerun_of"], 1);
    assert_eq!(daemon.show(6)["rerun_of"], 3);
    daemon.wait_state(5, "running");
    daemon.wait_state(6, "running");

    // Given again it finds them active; later it finds that they succeeded.
    let again = daemon.ctl(&["rerun", "--failed", "--yes"]).ok();
    assert_eq!(again.text(), "");
    assert!(
        again
            .stderr
            .contains("task 5 of the same work is running already"),
        "{}",
        again.stderr
    );
    gates.iter().for_each(Gate::open);
    for task in [5, 6] {
        assert_eq!(daemon.wait(task)["state"], "succeeded");
    }
    let later = daemon
        .ctl(&["rerun", "--failed", "--yes", "-o", "json"])
        .json();
    let skipped = |task| (task, "skipped".to_owned(), None);
    assert_eq!(reruns(&later), [skipped(1), skipped(2), skipped(3)]);
    assert_eq!(
        later["reruns"][2]["reason"],
        "task 6 came after it and succeeded"
    );
}

#[test]
fn one_refusal_does_not_stop_the_others() {
    let other = "[daemon]\nmax_running = 4\n\
                 [agents.other]\ntype = \"command\"\ncommand = [\"false\"]\n";
    let mut daemon = TestDaemon::with(other);
    for args in [&["-a", "other", "x"][..], &["--", "false"]] {
        let task = daemon.submit(args);
        daemon.wait(task);
    }
    // Its successor waits behind what runs: the key is busy with an older one.
    let repo = daemon.repo("app");
    let gate = daemon.gate("gate");
    let script = format!("read _ <{}", gate.path());
    let of_key = ["-C", repo.arg(), "--issue", "1"];
    let active = daemon.submit(&[&of_key[..], &["--", "sh", "-c", &script]].concat());
    daemon.wait_state(active, "running");
    let behind = daemon.submit(&[&of_key[..], &["--queue", "--", "true"]].concat());
    let _said = daemon.ctl(&["cancel", &behind.to_string()]).ok();
    daemon.kill();
    daemon.configure("[daemon]\nmax_running = 4\n");
    daemon.launch();

    let some = daemon.ctl(&["rerun", "--unsuccessful", "--yes"]);
    assert_eq!((some.code, some.text()), (4, "5\n"), "{some:?}");
    for says in [
        "agentctl: task 1: there is no agent \"other\"",
        "task 4 is skipped: task 3 of the same work is active already",
        "1 run again, 1 skipped, 1 refused",
    ] {
        assert!(some.stderr.contains(says), "{says:?}: {}", some.stderr);
    }
    assert_eq!(daemon.wait(5)["rerun_of"], 2);
    gate.open();
    daemon.wait(active);
}

/// Two people at once, one of them twice: each task is run again once.
#[test]
fn two_commands_at_once_do_it_once() {
    let daemon = TestDaemon::start();
    let failed: Vec<_> = (0..20).map(|_| daemon.submit(&["--", "false"])).collect();
    for task in failed {
        daemon.wait(task);
    }
    let _said = daemon.ctl(&["pause"]).ok();
    let mut racers: Vec<_> = (0..3)
        .map(|_| {
            let args = ["rerun", "--failed", "--yes", "-q"];
            daemon.agentctl().command(&args).spawn().unwrap()
        })
        .collect();
    for racer in racers.drain(..) {
        assert_eq!(Output::wait(racer).ok().stderr, "");
    }
    let (tasks, superseded) = (ids(&daemon), ["ls", "--state", "cancelled", "-q"]);
    assert_eq!(tasks.lines().count(), 40, "{tasks}");
    assert_eq!(daemon.ctl(&superseded).ok().text(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_go_on_after_an_interrupt() {
    let daemon = TestDaemon::start();
    let _said = daemon.ctl(&["pause"]).ok();
    let client = daemon.client().await;
    let mut made = JoinSet::new();
    for _ in 0..MANY {
        let mut client = client.clone();
        made.spawn(async move {
            let request = SubmitRequest {
                command: vec!["true".to_owned()],
                ..SubmitRequest::default()
            };
            let id = client.submit(request).await?.into_inner().task.unwrap().id;
            let request = CancelRequest {
                id,
                ..CancelRequest::default()
            };
            client.cancel(request).await
        });
    }
    assert!(made.join_all().await.iter().all(Result::is_ok));

    let args = ["rerun", "--unsuccessful", "--yes", "-q"];
    let mut first = daemon.agentctl().command(&args).spawn().unwrap();
    let mut stdout = BufReader::new(first.stdout.take().unwrap());
    let mut new = String::new();
    stdout.read_line(&mut new).unwrap();
    kill(
        Pid::from_raw(first.id().try_into().unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    stdout.read_to_string(&mut new).unwrap();
    let first = Output::wait(first);
    assert_eq!(first.code, 130, "{first:?}");
    let left = MANY - u64::try_from(new.lines().count()).unwrap();
    let says = format!("interrupted: {left} of {MANY} tasks are left");
    assert!(first.stderr.contains(&says), "{says}: {}", first.stderr);
    assert!(left > 0, "{new}");

    // Nobody reads the ids any more: it stops, and says so.
    let mut unread = daemon.agentctl().command(&args).spawn().unwrap();
    drop(unread.stdout.take());
    let unread = Output::wait(unread).ok();
    let left = left - 1;
    let says = format!("stopped: {left} of ");
    assert!(unread.stderr.contains(&says), "{says}: {}", unread.stderr);

    let rest = daemon.ctl(&args).ok();
    assert_eq!(u64::try_from(rest.text().lines().count()).unwrap(), left);
    assert_eq!(daemon.ctl(&args).ok().text(), "", "there is no more to do");
    let queued = ["ls", "--state", "queued", "--all", "-q"];
    let queued = daemon.ctl(&queued).ok().text().lines().count();
    assert_eq!(u64::try_from(queued).unwrap(), MANY);
}

/// Types this at a terminal; exit code, and what could be read there.
fn at_terminal(daemon: &TestDaemon, args: &[&str], typed: &str) -> (i32, String) {
    let pty = openpty(None, None).unwrap();
    let (mut screen, slave) = (File::from(pty.master), File::from(pty.slave));
    let mut command = daemon.agentctl().command(args);
    let end = || Stdio::from(slave.try_clone().unwrap());
    let child = command.stdin(end()).stdout(end()).stderr(end()).spawn();
    // Both keep it open, and so the screen from its end.
    drop((command, slave));
    let mut typing = screen.try_clone().unwrap();
    typing.write_all(typed.as_bytes()).unwrap();
    let reading = thread::spawn(move || {
        let mut bytes = Vec::new();
        // Linux ends it with an error.
        screen.read_to_end(&mut bytes).ok();
        String::from_utf8(bytes).unwrap()
    });
    let code = Output::wait(child.unwrap()).code;
    (code, reading.join().unwrap())
}

#[test]
fn a_person_is_asked_first() {
    let daemon = TestDaemon::start();
    for _ in 0..22 {
        let task = daemon.submit(&["--title", "a title", "--", "false"]);
        daemon.wait(task);
    }
    let before = ids(&daemon);
    let ask = ["--color", "never", "rerun", "--failed"];
    for no in ["n\n", "\n", "what?\n", "\u{4}"] {
        let (code, seen) = at_terminal(&daemon, &ask, no);
        assert_eq!(code, 1, "{seen}");
        for says in [
            "task 20 failed: agent_error: exit code 1 (a title)",
            "and 2 more: --dry-run shows all",
            "Run these 22 tasks again? [y/N]",
            "nothing was done",
        ] {
            assert!(seen.contains(says), "{says:?}: {seen}");
        }
        assert!(!seen.contains("task 21"), "{seen}");
    }
    assert_eq!(ids(&daemon), before);

    let (code, seen) = at_terminal(&daemon, &ask, "yes\n");
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("task 23 runs task 1 again"), "{seen}");
    assert!(seen.contains("22 run again"), "{seen}");
    assert_eq!(ids(&daemon).lines().count(), 44);
    // Where nothing is to be done, nobody is asked.
    let none = ["rerun", "--failed", "--agent", "other"];
    let (code, seen) = at_terminal(&daemon, &none, "");
    assert_eq!(code, 0, "{seen}");
    assert!(!seen.contains('?'), "{seen}");
}
