//! A loop that hangs, while all else of the daemon goes on.

use std::fs;

use agentd_tests::{Notices, TestDaemon, wait_until};

/// How many signs of life have come since the last look.
fn signs(notices: &Notices) -> usize {
    let lines = notices.lines();
    lines.iter().filter(|line| *line == "WATCHDOG=1").count()
}

#[test]
fn a_failpoint_that_hangs_the_loop_ends_the_signs_of_life() {
    let mut daemon = TestDaemon::prepared("");
    let plan = daemon.use_failpoints();
    daemon.use_variable("WATCHDOG_USEC", "400000");
    let notices = daemon.launch_heard();
    let done = daemon.sh("true");
    assert_eq!(daemon.wait(done)["state"], "succeeded");
    wait_until("it gives signs of life", || signs(&notices) > 0);

    // Whichever commit comes next.
    let hits = fs::metadata(plan.join("store.commit.before"))
        .unwrap()
        .len();
    let hang = |hit| format!("store.commit.before hang {hit}\n");
    let plans: String = (hits + 1..hits + 50).map(hang).collect();
    fs::write(plan.join("plan"), plans).unwrap();
    let submit = daemon.agentctl().command(&["submit", "--", "true"]).spawn();
    let mut heard = Vec::new();
    wait_until("the loop hangs", || {
        heard.extend(notices.lines());
        let told = "STATUS=the dispatcher does not answer";
        heard.iter().any(|line| line == told)
    });
    // Reading does not go through the loop; it takes its time, too.
    for _ in 0..5 {
        assert_eq!(daemon.state_of(done), "succeeded");
    }
    assert_eq!(signs(&notices), 0);

    // What the manager does then.
    daemon.kill();
    fs::remove_file(plan.join("plan")).unwrap();
    let notices = daemon.launch_heard();
    wait_until("it gives signs of life", || signs(&notices) > 0);
    // It has asked again, or given up.
    submit.unwrap().wait().unwrap();
    let next = daemon.sh("true");
    assert_eq!(daemon.wait(next)["state"], "succeeded");
}
