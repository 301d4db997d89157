//! Reading the configuration anew, by a signal and for a person.

use agentd_tests::{TestDaemon, wait_until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

#[test]
fn a_person_is_told_what_counts_now_and_what_later() {
    let daemon = TestDaemon::with("[daemon]\nmax_running = 1\n");
    let same = daemon.ctl(&["reload"]).ok();
    assert!(same.stderr.contains("nothing changed"), "{same:?}");
    daemon.configure(
        "[daemon]\nmax_running = 3\ncache = \"8MiB\"\nsuspect_after = \"45s\"\n\
         [agents.new]\ntype = \"command\"\ncommand = [\"true\"]\n",
    );
    let told = daemon.ctl(&["reload"]).ok();
    for words in [
        "config.toml: applied daemon.max_running, daemon.suspect_after, agents.new",
        "from the next start of agentd on: daemon.cache",
    ] {
        assert!(told.stderr.contains(words), "{words}: {told:?}");
    }
    let new = daemon.submit(&["-a", "new", "x"]);
    assert_eq!(daemon.wait(new)["state"], "succeeded");
    // What counts later is told until it does.
    let again = daemon.ctl(&["reload"]).ok();
    assert!(again.stderr.contains("nothing changed"), "{again:?}");
    assert!(again.stderr.contains("daemon.cache"), "{again:?}");
    // A fault changes nothing, and is told where it stands.
    daemon.configure("[daemon]\nmax_running = 9\nmax_quued = 2\n[agents.new]\ntype = \"comand\"\n");
    let refused = daemon.ctl(&["reload"]);
    refused.refused(
        1,
        &[
            "config.toml:3:1: ",
            "max_queued",
            "config.toml:5:8: ",
            "stays as it was",
        ],
    );
    let status = daemon.ctl(&["status", "-o", "json"]).json();
    assert_eq!(status["slots"], 3);
}

#[test]
fn a_signal_brings_schedules_and_agents_and_takes_them_away() {
    let daemon = TestDaemon::with("[daemon]\nmax_running = 2\n");
    let hang_up = |config: &str| {
        daemon.configure(config);
        let pid = Pid::from_raw(daemon.pid().try_into().unwrap());
        kill(pid, Signal::SIGHUP).unwrap();
    };
    let names = || {
        let list = daemon.ctl(&["schedules", "-o", "json"]).json();
        let list = list["schedules"].as_array().unwrap().clone();
        let names = list.iter().filter_map(|one| one["name"].as_str());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    hang_up(
        "[daemon]\nmax_running = 2\n[agents.timed]\ntype = \"command\"\ncommand = [\"true\"]\n\
         [schedules.often]\ncron = \"* * * * * *\"\nagent = \"timed\"\nprompt = \"x\"\n",
    );
    wait_until("its time has come", || {
        let list = daemon
            .ctl(&["ls", "--all", "--agent", "timed", "-o", "json"])
            .json();
        let tasks = list["tasks"].as_array().unwrap();
        tasks.iter().any(|task| task["state"] == "succeeded")
    });
    assert_eq!(names(), ["often"]);
    hang_up("[daemon]\nmax_running = 2\n");
    wait_until("it is taken away", || names().is_empty());
    daemon
        .ctl(&["submit", "-a", "timed", "x"])
        .refused(2, &["timed"]);
}
