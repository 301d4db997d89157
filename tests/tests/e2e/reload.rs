//! Reading the configuration anew, by a signal and for a person.

use std::{
    fs::{self, OpenOptions},
    path::Path,
};

use agentd_tests::{TestDaemon, wait_until};
use nix::{
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::{Pid, mkfifo},
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

/// A pipe in the place of the configuration: who reads it waits, as for a disk
/// on the network that does not answer.
fn put_pipe(path: &Path) {
    let pipe = path.with_extension("pipe");
    mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    fs::rename(pipe, path).unwrap();
}

#[test]
fn a_reload_that_hangs_keeps_nobody_waiting() {
    let mut daemon = TestDaemon::prepared("[daemon]\nmax_running = 1\n");
    let notices = daemon.launch_heard();
    let pid = Pid::from_raw(daemon.pid().try_into().unwrap());
    let hang_up = || {
        drop(notices.lines());
        kill(pid, Signal::SIGHUP).unwrap();
        wait_until("it reads the configuration", || {
            notices.lines().iter().any(|line| line == "RELOADING=1")
        });
    };
    let slots = || daemon.ctl(&["status", "-o", "json"]).ok().json()["slots"].clone();
    let config = daemon.path("config.toml");
    put_pipe(&config);
    hang_up();
    assert_eq!(slots(), 1);
    let done = daemon.sh("true");
    assert_eq!(daemon.wait(done)["state"], "succeeded");
    // One that comes meanwhile is not lost: what is there by then is read.
    let pipe = OpenOptions::new().write(true).open(&config).unwrap();
    let next = config.with_extension("next");
    fs::write(&next, "[daemon]\nmax_running = 3\n").unwrap();
    fs::rename(next, &config).unwrap();
    kill(pid, Signal::SIGHUP).unwrap();
    drop(pipe);
    wait_until("the next one counts", || slots() == 3);
    // Nor is the end kept waiting.
    put_pipe(&config);
    hang_up();
    assert!(daemon.terminate().success());
}
