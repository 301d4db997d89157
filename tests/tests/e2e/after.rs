//! Tasks that wait for others.

use agentd_tests::TestDaemon;

fn after(daemon: &TestDaemon, list: &[String], script: &str) -> u64 {
    let mut line = Vec::new();
    for after in list {
        line.extend(["--after", after]);
    }
    line.extend(["--", "sh", "-c", script]);
    daemon.submit(&line)
}

#[test]
fn what_waits_runs_when_all_of_them_have_ended_as_they_should() {
    let mut daemon = TestDaemon::start();
    let (good, bad) = (daemon.gate("good"), daemon.gate("bad"));
    let first = daemon.sh(&format!("read _ <{}", good.path()));
    let second = daemon.sh(&format!("read _ <{}; exit 3", bad.path()));
    let list = [format!("{first}"), format!("{second}:any")];
    let task = after(&daemon, &list, "true");
    let shown = daemon.show(task);
    assert_eq!(shown["hold"]["kind"], "dependency");
    assert_eq!(shown["hold"]["task"], first);
    assert_eq!(shown["hold"]["others"], 1);
    assert_eq!(shown["after"][1]["condition"], "any");
    // Nothing that it waits for is lost with the daemon.
    daemon.kill();
    bad.open();
    daemon.launch();
    assert_eq!(daemon.wait(second)["state"], "failed");
    let shown = daemon.show(task);
    assert_eq!(shown["waits_for"].as_array().unwrap().len(), 1, "{shown}");
    // A release is not for this.
    let said = daemon.ctl(&["release", &task.to_string()]).ok();
    let waits = format!("it still waits for task {first}");
    assert!(said.stderr.contains(&waits), "{said:?}");
    good.open();
    assert_eq!(daemon.wait(task)["state"], "succeeded");
    let met = daemon.events(task);
    let met = met.iter().filter(|event| event["what"] == "dependency_met");
    assert_eq!(met.count(), 2);
}

#[test]
fn a_failure_ends_all_that_wait_for_it() {
    let daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let first = daemon.sh(&format!("read _ <{}; exit 3", gate.path()));
    let second = after(&daemon, &[format!("{first}:ok")], "true");
    let third = after(&daemon, &[format!("{second}")], "true");
    let anyhow = after(&daemon, &[format!("{third}:any")], "true");
    gate.open();
    let ended = daemon.wait(third);
    assert_eq!(ended["state"], "failed", "{ended}");
    assert_eq!(ended["failure_reason"], "dependency_failed");
    let message = format!("task {second}, which had to succeed first, failed");
    assert_eq!(ended["message"], message);
    assert_eq!(ended["attempt_count"], 0);
    assert_eq!(daemon.wait(anyhow)["state"], "succeeded");
    // A person who runs it again asks for it now.
    let again = daemon.ctl(&["rerun", &third.to_string()]).id();
    let again = daemon.wait(again);
    assert_eq!(again["state"], "succeeded");
    assert_eq!(again["after"].as_array().unwrap().len(), 0);
}

#[test]
fn what_cannot_come_is_refused() {
    let daemon = TestDaemon::start();
    let good = daemon.sh("true");
    let bad = daemon.sh("exit 3");
    let _ended = (daemon.wait(good), daemon.wait(bad));
    let submit = |after: &str| daemon.ctl(&["submit", "--after", after, "--", "true"]);
    submit("99").refused(3, &["there is no task 99"]);
    let why = format!("task {bad} has failed, and was to succeed first");
    submit(&bad.to_string()).refused(4, &[&why, &format!("--after {bad}:any")]);
    submit("7:well").refused(2, &["42:any"]);
    let free = submit(&format!("{good}")).id();
    assert_eq!(daemon.wait(free)["state"], "succeeded");
    let free = submit(&format!("{bad}:any")).id();
    assert_eq!(daemon.wait(free)["state"], "succeeded");
}
