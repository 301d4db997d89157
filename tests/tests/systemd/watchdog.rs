//! A daemon whose loop hangs, while all else of it goes on.

use agentd_tests::program;

use crate::service::{Kind, Service};

#[test]
fn the_manager_ends_a_daemon_whose_loop_hangs_and_agents_go_on() {
    let service = Service::installed(Kind::System);
    let plan = "/var/tmp/failpoints";
    service.sh(&format!("mkdir {plan}"));
    let program = program("agentd-failpoints");
    service.machine.copy_in(&program, "/usr/bin/agentd");
    service.drop_in(&format!(
        "[Service]\nWatchdogSec=10\nEnvironment=AGENTD_FAILPOINTS={plan}\n"
    ));
    service.systemctl("start agentd.socket agentd.service");
    let tasks = service.three_agents();
    let first = service.property("MainPID");
    // Whichever commit comes next.
    service.sh(&format!(
        "hits=$(stat -c %s {plan}/store.commit.before)
         for hit in $(seq $((hits + 1)) $((hits + 50))); do
             echo store.commit.before hang $hit
         done >{plan}/new && mv {plan}/new {plan}/plan"
    ));
    let submit = service
        .machine
        .command(service.user(), "agentctl submit -q -- true");
    let submit = { submit }.spawn().unwrap();
    service
        .machine
        .until("it has fired", "root", &format!("[ -e {plan}/fired ]"));
    service.sh(&format!("rm {plan}/plan"));
    service.another_daemon(&first);
    assert_eq!(service.property("NRestarts"), "1");
    let logged = service.journal("");
    for said in [
        "the dispatcher does not answer",
        "Watchdog timeout (limit 10s)!",
        "Failed with result 'watchdog'",
    ] {
        assert!(logged.contains(said), "{said}: {logged}");
    }
    // It was not stored when the loop hung, and is asked for again.
    let submitted = agentd_tests::Output::wait(submit).id();
    service.sh(&format!("agentctl wait {submitted}"));
    service.finish(&tasks);
}
