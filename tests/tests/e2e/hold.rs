//! Tasks that a person holds, and those for later.

use std::time::{Duration, Instant};

use agentd_tests::{TestDaemon, wait_until};

fn hold(daemon: &TestDaemon, task: u64) {
    let said = daemon.ctl(&["hold", &task.to_string()]).ok();
    assert!(said.stderr.contains("is held"), "{said:?}");
}

#[test]
fn what_a_person_holds_waits_over_a_crash_until_it_is_released() {
    let mut daemon = TestDaemon::start();
    let _said = daemon.ctl(&["pause"]).ok();
    let task = daemon.submit(&["--queue-ttl", "1h", "--", "true"]);
    hold(&daemon, task);
    let _said = daemon.ctl(&["resume"]).ok();
    // Others go past it.
    let other = daemon.sh("true");
    assert_eq!(daemon.wait(other)["state"], "succeeded");
    daemon.kill();
    daemon.launch();
    let shown = daemon.show(task);
    assert_eq!(shown["state"], "queued");
    assert_eq!(shown["hold"]["kind"], "held");
    let by = shown["hold"]["by"].as_str().unwrap();
    assert_eq!(shown["user"], by);
    let list = daemon.ctl(&["ls"]).ok();
    assert!(list.text().contains(&format!("held by {by}")), "{list:?}");
    let told = daemon.ctl(&["explain", &task.to_string()]).ok();
    let sentence = format!("is held by {by}: agentctl release {task} lets it go");
    assert!(told.text().contains(&sentence), "{told:?}");
    assert!(!told.text().contains("queue_expired"), "{told:?}");
    // The same again is no error, and changes nothing.
    let again = daemon.ctl(&["hold", &task.to_string()]).ok();
    assert!(again.stderr.contains("held already"), "{again:?}");
    let said = daemon.ctl(&["release", &task.to_string()]).ok();
    assert!(said.stderr.contains("is released"), "{said:?}");
    assert_eq!(daemon.wait(task)["state"], "succeeded");
    let what: Vec<_> = daemon.events(task);
    let held = |word: &str| what.iter().filter(|event| event["what"] == word).count();
    assert_eq!((held("held"), held("released")), (1, 1));
}

#[test]
fn only_what_waits_can_be_held_and_the_others_are_tried_all_the_same() {
    let daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let running = daemon.sh(&format!("read _ <{}", gate.path()));
    daemon.wait_state(running, "running");
    let _said = daemon.ctl(&["pause"]).ok();
    let queued = daemon.sh("true");
    let ids = [running, queued, 99].map(|id| id.to_string());
    let said = daemon.ctl(&["hold", &ids[0], &ids[1], &ids[2]]);
    said.refused(
        4,
        &[
            &format!("task {running} is running already"),
            &format!("agentctl cancel {running} stops it"),
            &format!("task {queued} is held"),
            "there is no task 99",
        ],
    );
    gate.open();
    let _ended = daemon.wait(running);
    let said = daemon.ctl(&["hold", &ids[0]]);
    said.refused(4, &["has ended (succeeded)", "agentctl rerun"]);
    let said = daemon.ctl(&["release", &ids[0]]).ok();
    assert!(said.stderr.contains("it has ended (succeeded)"), "{said:?}");
    // A held task can be cancelled like any other.
    let _said = daemon.ctl(&["cancel", &ids[1]]).ok();
    assert_eq!(daemon.wait(queued)["state"], "cancelled");
}

#[test]
fn a_task_for_later_waits_over_a_crash_and_can_be_released() {
    let mut daemon = TestDaemon::start();
    let begin = Instant::now();
    let soon = daemon.submit(&["--delay", "1500ms", "--", "true"]);
    let far = daemon.submit(&["--delay", "1h", "--queue-ttl", "1s", "--", "true"]);
    let year = "2999-01-01T04:00:00Z";
    let never = daemon.submit(&["--not-before", year, "--", "true"]);
    daemon.kill();
    daemon.launch();
    assert_eq!(daemon.show(far)["hold"]["kind"], "scheduled");
    let shown = daemon.show(never);
    assert_eq!(shown["not_before"], "2999-01-01T04:00:00.000Z");
    assert_eq!(shown["hold"]["until"], shown["not_before"]);
    assert_eq!(daemon.wait(soon)["state"], "succeeded");
    assert!(begin.elapsed() >= Duration::from_millis(1500));
    for task in [far, never] {
        let _said = daemon.ctl(&["release", &task.to_string()]).ok();
        assert_eq!(daemon.wait(task)["state"], "succeeded");
    }
    let rerun = ["rerun", "--force", &far.to_string(), "--delay", "1h"];
    let again = daemon.ctl(&rerun).id();
    assert_eq!(daemon.show(again)["hold"]["kind"], "scheduled");
    let again = daemon.ctl(&["rerun", "--force", &never.to_string()]).id();
    assert_eq!(daemon.wait(again)["not_before"], serde_json::Value::Null);
}

#[test]
fn run_says_until_when_it_waits() {
    let daemon = TestDaemon::start();
    let line = ["run", "--delay", "1h", "--", "true"];
    let run = daemon.agentctl().command(&line).spawn().unwrap();
    wait_until("it is queued", || {
        daemon.ctl(&["ls", "-q"]).ok().text().trim() == "1"
    });
    let _said = daemon.ctl(&["release", "1"]).ok();
    let said = agentd_tests::Output::wait(run).ok();
    let waits = said.stderr.contains("task 1 waits: scheduled");
    assert!(waits, "{said:?}");
}

#[test]
fn times_that_cannot_be_are_refused() {
    let daemon = TestDaemon::start();
    for (args, word) in [
        (["--not-before", "2001-01-01T00:00:00Z"], "is over"),
        (["--not-before", "tomorrow"], "04:00"),
        (["--delay", "0s"], "longer than nothing"),
    ] {
        let line = [&["submit"][..], &args, &["--", "true"]].concat();
        daemon.ctl(&line).refused(2, &[word]);
    }
}

#[test]
fn what_keeps_a_task_is_said_before_and_after() {
    let daemon = TestDaemon::start();
    let _said = daemon.ctl(&["pause"]).ok();
    let run = daemon.ctl(&["run", "--queue-ttl", "1s", "--", "true"]);
    assert_eq!(run.code, 1, "{run:?}");
    for words in [
        "task 1 waits: paused",
        "queue_expired",
        "everything is paused",
    ] {
        assert!(run.stderr.contains(words), "{run:?}");
    }
}
