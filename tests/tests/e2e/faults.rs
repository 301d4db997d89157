//! What the machine runs out of: space, files, patience with a configuration.

use std::{fs, io::Write as _, os::unix::net::UnixStream, path::Path};

use agentd_tests::{TestDaemon, wait_until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::Value;

fn status(daemon: &TestDaemon) -> Value {
    daemon.ctl(&["status", "-o", "json"]).json()
}

/// Fills a disk but for so many bytes.
pub(crate) fn fill(path: &Path, but: u64) {
    let mut file = fs::File::create(path).unwrap();
    let piece = vec![7_u8; 64 * 1024];
    while file.write_all(&piece).is_ok() {}
    // What is left of the last piece's room.
    while file.write_all(&[7]).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length - but).unwrap();
}

#[test]
fn a_full_disk_stops_everything_but_agents_and_heals_by_itself() {
    let mut daemon = TestDaemon::prepared(
        "[daemon]\nmax_running = 4\nmin_free_disk = \"8MiB\"\n\
         [agents.quiet]\ntype = \"command\"\ncommand = [\"true\"]\n",
    );
    daemon.use_disk(64);
    daemon.launch();
    let gate = daemon.gate("gate");
    let script = format!("echo before; read _ <{}; echo after; exit 3", gate.path());
    let runs = daemon.sh(&script);
    let mut waiting = gate.reached();

    let filler = daemon.disk().join("filler");
    fill(&filler, 4 << 20);
    // Nothing new is started, and that is said wherever one would look.
    let queued = daemon.submit(&["-a", "quiet", "small"]);
    wait_until("the trouble is told", || {
        status(&daemon)["trouble"]
            .as_str()
            .is_some_and(|t| t.contains("MiB are free"))
    });
    let page = daemon.ctl(&["status"]).ok();
    assert!(page.text().contains("trouble:"), "{page:?}");
    assert_eq!(daemon.show(queued)["hold"]["kind"], "disk_full");
    // What does not fit into the store is refused; what was acknowledged stays.
    let prompt = "x".repeat(900 * 1024);
    let mut acknowledged = vec![queued];
    let refused = loop {
        let line = ["submit", "-q", "-a", "quiet", "-"];
        let said = daemon.agentctl().call_with_input(&line, prompt.as_bytes());
        if said.code != 0 {
            break said;
        }
        acknowledged.push(said.id());
        assert!(acknowledged.len() < 100, "the disk is not full");
    };
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.stderr.contains("the store failed"), "{refused:?}");
    assert_eq!(status(&daemon)["phase"], "store_failed");
    // The figures say so, too, while nobody can be asked about tasks.
    let told = daemon.ctl(&["metrics"]).ok();
    for line in [
        "agentd_phase{phase=\"store_failed\"} 1\n",
        "agentd_tasks{agent=\"shell\",state=\"running\"} 1\n",
        "agentd_store_failures_total 1\n",
    ] {
        assert!(told.text().contains(line), "{line}: {told:?}");
    }
    // The agent goes on, and comes to its end.
    writeln!(waiting).unwrap();
    wait_until("its agent has ended", || daemon.agents().is_empty());

    fs::remove_file(&filler).unwrap();
    wait_until("it works again", || status(&daemon)["phase"] == "ready");
    assert_eq!(status(&daemon)["incarnation"], 2);
    let ended = daemon.wait(runs);
    assert_eq!(ended["attempt"]["exit"]["code"], 3, "{ended}");
    assert_eq!(ended["attempt"]["number"], 1, "{ended}");
    assert_eq!(
        daemon
            .ctl(&["logs", "--raw", &runs.to_string()])
            .ok()
            .text(),
        "before\nafter\n"
    );
    let all = acknowledged.len();
    for task in acknowledged {
        assert_eq!(daemon.wait(task)["state"], "succeeded");
    }
    assert_eq!(status(&daemon)["trouble"], Value::Null);
    // What was not committed was not counted, and nothing twice.
    let told = daemon.ctl(&["metrics"]).ok();
    for line in [
        "agentd_tasks{agent=\"quiet\",state=\"queued\"} 0\n".to_owned(),
        format!("agentd_tasks_submitted_total{{agent=\"quiet\",trigger=\"manual\"}} {all}\n"),
    ] {
        assert!(told.text().contains(&line), "{line}: {told:?}");
    }
}

#[test]
fn connections_that_cannot_be_taken_wait() {
    let daemon = TestDaemon::with("[daemon]\nmax_running = 4\n");
    let runs = daemon.sh("exec sleep 1000");
    daemon.wait_state(runs, "running");
    // It counts connections by the limit that it began with: this one it meets
    // unprepared, and has so little left that the connections need it all.
    leave_files(daemon.pid(), 8);
    let idle: Vec<UnixStream> = (0..100)
        .map(|_| UnixStream::connect(daemon.socket()).unwrap())
        .collect();
    wait_until("it is out of files", || {
        daemon.log().contains("cannot take connections")
    });
    assert_eq!(daemon.agents().len(), 1);
    drop(idle);
    // It goes on where it was.
    let _said = daemon.ctl(&["kill", &runs.to_string()]).ok();
    assert_eq!(daemon.wait(runs)["state"], "cancelled");
}

/// Lets the process open so many files more than it has open now.
fn leave_files(pid: u32, more: u64) {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
    let limit = Rlimit {
        current: Some(open + more),
        maximum: Some(open + more),
    };
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap());
    prlimit(pid, Resource::Nofile, limit).unwrap();
}

#[test]
fn an_agent_has_the_limit_of_files_that_the_daemon_had() {
    let mut daemon = TestDaemon::prepared("");
    daemon.start_after("ulimit -S -n 199");
    daemon.launch();
    let run = daemon
        .ctl(&["run", "--", "sh", "-c", "ulimit -S -n; ulimit -H -n"])
        .ok();
    let limits: Vec<&str> = run.text().lines().collect();
    assert_eq!(limits[0], "199");
    assert_ne!(limits[1], "199");
}

#[test]
fn the_configuration_is_read_anew() {
    let daemon = TestDaemon::with("[daemon]\nmax_running = 1\n");
    let gate = daemon.gate("gate");
    let first = daemon.sh(&format!("read _ <{}", gate.path()));
    let mut waiting = gate.reached();
    let second = daemon.sh("true");
    let reload = || {
        let pid = Pid::from_raw(daemon.pid().try_into().unwrap());
        kill(pid, Signal::SIGHUP).unwrap();
    };
    // A fault changes nothing.
    daemon.configure("[daemon]\nmax_runing = 2\n");
    reload();
    wait_until("the fault is told", || daemon.log().contains("max_running"));
    assert_eq!(daemon.state_of(second), "queued");
    daemon.configure(
        "[daemon]\nmax_running = 2\n[agents.new]\ntype = \"command\"\ncommand = [\"true\"]\n",
    );
    reload();
    assert_eq!(daemon.wait(second)["state"], "succeeded");
    assert_eq!(status(&daemon)["slots"], 2);
    let new = daemon.submit(&["-a", "new", "x"]);
    assert_eq!(daemon.wait(new)["state"], "succeeded");
    writeln!(waiting).unwrap();
    assert_eq!(daemon.wait(first)["state"], "succeeded");
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told() {
    let mut daemon = TestDaemon::prepared("");
    daemon.use_disk(64);
    // The disk is there and read-only.
    let state = daemon.state();
    let how = if nix::unistd::geteuid().is_root() {
        "-m"
    } else {
        "-rm"
    };
    let script = format!(
        "mount -t tmpfs -o size=1m,mode=700,ro tmpfs '{}' || exit 99\nexec \"$@\"",
        state.display()
    );
    daemon.start_through(&["unshare", how, "sh", "-c", &script, "sh"]);
    let (code, said) = daemon.refuse();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
    assert!(said.contains(&state.display().to_string()), "{said}");
}
