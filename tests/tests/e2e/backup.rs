//! Copies of the store: made while it is in use, put back, checked.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use agentd_tests::{TestDaemon, wait_for, wait_until};
use serde_json::Value;

/// Puts a copy in the place of the store of a daemon that does not run.
fn restore(daemon: &TestDaemon, copy: &Path) {
    fs::copy(copy, daemon.state().join("agentd.redb")).unwrap();
}

fn dailies(daemon: &TestDaemon) -> Vec<PathBuf> {
    let entries = fs::read_dir(daemon.state().join("backups")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn a_copy_under_load_holds_what_was_acknowledged_and_can_be_put_back() {
    let mut daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let held = daemon.submit(&["--delay", "1h", "--", "sh", "-c", "echo first"]);
    let running = daemon.sh(&format!("read _ <{}", gate.path()));
    let waiting = gate.reached();
    let done = daemon.sh("echo done");
    assert_eq!(daemon.wait(done)["state"], "succeeded");
    let before: Value = daemon.kept(done);

    // Others write all the time.
    let (load, copy) = std::thread::scope(|scope| {
        let ctl = daemon.agentctl();
        let loading = scope.spawn(move || {
            let ids = (0..20).map(|n| ctl.call(&["submit", "-q", "--", "echo", &n.to_string()]));
            ids.map(|said| said.id()).collect::<Vec<u64>>()
        });
        let copy = daemon.arg("copy");
        let made = daemon.ctl(&["backup", &copy]).ok();
        assert!(made.stderr.contains("up to revision"), "{made:?}");
        (loading.join().unwrap(), PathBuf::from(copy))
    });
    let mode = fs::metadata(&copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // The one that was held begins only after the copy: what it leaves is of an
    // attempt of which the copy knows nothing.
    let _released = daemon.ctl(&["release", &held.to_string()]).ok();
    assert_eq!(daemon.wait(held)["state"], "succeeded");
    for task in &load {
        assert_eq!(daemon.wait(*task)["state"], "succeeded");
    }
    let newest = *load.last().unwrap();
    daemon.kill();

    restore(&daemon, &copy);
    let (code, said) = daemon.check_store(&[]);
    assert_eq!(code, Some(0), "{said}");
    daemon.launch();
    assert_eq!(daemon.kept(done), before);
    assert_eq!(daemon.state_of(held), "queued");
    // The runner that the copy knows is taken up again.
    wait_until("its agent goes on", || {
        daemon.state_of(running) == "running"
    });
    drop(waiting);
    assert_eq!(daemon.wait(running)["attempt"]["number"], 1);
    // Numbers that have files are not given again.
    let next = daemon.sh("true");
    assert!(next > newest, "{next} was given before: {newest}");
    // And a number of an attempt that has files is an attempt with its own.
    let _released = daemon.ctl(&["release", &held.to_string()]).ok();
    assert_eq!(daemon.wait(held)["state"], "succeeded");
    wait_until("its files are put away", || {
        let logs = daemon.ctl(&["logs", "--raw", &held.to_string()]).ok();
        logs.text() == "first\n" && !daemon.state().join(format!("attempts/{held}.1")).exists()
    });
}

#[test]
fn runners_of_which_a_copy_knows_nothing_are_fenced() {
    let mut daemon = TestDaemon::start();
    let known = daemon.sh("true");
    daemon.wait(known);
    let copy = daemon.arg("copy");
    let _made = daemon.ctl(&["backup", &copy]).ok();
    let unknown = daemon.sh("exec sleep 1000");
    daemon.wait_state(unknown, "running");
    daemon.kill();
    restore(&daemon, Path::new(&copy));
    daemon.launch();
    daemon.wait_no_process();
    assert!(daemon.log().contains("it is an older copy"));
    let refused = daemon.ctl(&["show", &unknown.to_string()]);
    refused.refused(3, &["not kept any more"]);
    assert!(daemon.sh("true") > unknown);
}

#[test]
fn transcripts_that_a_copy_does_not_know_are_not_collected_for_it() {
    let mut daemon = TestDaemon::start();
    let known = daemon.sh("true");
    daemon.wait(known);
    let copy = daemon.arg("copy");
    let _made = daemon.ctl(&["backup", &copy]).ok();
    let later = daemon.sh("echo worth keeping");
    daemon.wait(later);
    let kept = daemon.state().join(format!("transcripts/0/{later}.1"));
    wait_until("its files are put away", || kept.is_dir());
    daemon.kill();
    restore(&daemon, Path::new(&copy));
    daemon.launch();
    let _pass = daemon.ctl(&["prune", "--older-than", "30d"]).ok();
    assert!(kept.is_dir());
    let _pass = daemon.ctl(&["prune", "--older-than", "0s"]).ok();
    assert!(!kept.exists());
}

#[test]
fn a_file_that_is_there_stays_and_what_fails_leaves_none() {
    let daemon = TestDaemon::start();
    let dir = daemon.path("dir");
    fs::create_dir(&dir).unwrap();
    let file = dir.join("copy");
    fs::write(&file, "mine").unwrap();
    let name = file.to_string_lossy().into_owned();
    let refused = daemon.ctl(&["backup", &name]);
    refused.refused(4, &["is there already", "--force"]);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    let _made = daemon.ctl(&["backup", "--force", &name]).ok();
    let length = fs::metadata(&file).unwrap().len();
    // What is no file is not replaced by one.
    let pipe = daemon.gate("dir/pipe");
    daemon
        .ctl(&["backup", "--force", pipe.path()])
        .refused(4, &["is there and not a file"]);
    assert!(fs::metadata(pipe.path()).unwrap().file_type().is_fifo());
    fs::remove_file(pipe.path()).unwrap();
    let piped = daemon.ctl(&["backup", "-"]).ok();
    assert!(length > 0 && piped.stdout.starts_with(b"redb"));
    let nowhere = daemon.arg("nowhere/copy");
    daemon
        .ctl(&["backup", &nowhere])
        .refused(1, &["cannot write", "there is no directory", "mkdir -p"]);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    let part = |path: &PathBuf| path.extension().is_some_and(|end| end == "part");
    wait_until("no half of a copy is left", || {
        !dailies(&daemon).iter().any(part)
    });
}

#[test]
fn a_copy_is_made_each_day_and_the_older_ones_go() {
    let mut daemon = TestDaemon::prepared("[daemon]\ndaily_backups = 2\n");
    let backups = daemon.state().join("backups");
    fs::create_dir_all(&backups).unwrap();
    for day in ["2020-01-01", "2020-01-02", "2020-01-03"] {
        fs::write(backups.join(format!("agentd-{day}.redb")), "old").unwrap();
    }
    // A daemon that died while it made one.
    fs::write(backups.join("daily.part"), "half").unwrap();
    daemon.launch();
    let found = wait_for("the copy of today, and one more", || {
        Some(dailies(&daemon)).filter(|found| found.len() == 2 && !found[0].ends_with("daily.part"))
    });
    assert!(found[0].ends_with("agentd-2020-01-03.redb"), "{found:?}");
    assert!(fs::read(&found[1]).unwrap().starts_with(b"redb"));
    let status = daemon.ctl(&["status", "-o", "json"]).json();
    assert_eq!(status["backup"]["path"], *found[1].to_string_lossy());
    assert!(status["state_free_bytes"].as_u64() > Some(0));
    assert!(status["host"]["cpus"].as_u64() > Some(0), "{status}");
    let page = daemon.ctl(&["status"]).ok();
    assert!(page.text().contains("last backup:"), "{page:?}");
    // One that failed while the daemon runs does not keep others from being made.
    fs::write(backups.join("daily.part"), "half").unwrap();
    fs::remove_file(&found[1]).unwrap();
    let _new = daemon.wait(daemon.sh("true"));
    daemon.configure("[daemon]\ndaily_backups = 3\n");
    let _said = daemon.ctl(&["reload"]).ok();
    // It is of another day if the day has just ended.
    let old = |path: &PathBuf| path.ends_with("agentd-2020-01-03.redb");
    let again = wait_for("the copy of today is made again", || {
        dailies(&daemon)
            .into_iter()
            .find(|path| !old(path) && !path.ends_with("daily.part"))
    });
    assert!(!backups.join("daily.part").exists());
    // One that cannot be read is told how to put it back.
    daemon.kill();
    fs::write(daemon.state().join("agentd.redb"), "broken").unwrap();
    let (code, said) = daemon.refuse();
    assert_eq!(code, Some(1));
    assert!(said.contains(&*again.to_string_lossy()), "{said}");
    restore(&daemon, &again);
    daemon.launch();
    assert_eq!(daemon.wait(daemon.sh("true"))["state"], "succeeded");
}

#[test]
fn the_store_is_checked_when_no_daemon_has_it() {
    let mut daemon = TestDaemon::start();
    daemon.wait(daemon.sh("true"));
    let (code, said) = daemon.check_store(&[]);
    assert_eq!(code, Some(1));
    let used = format!("another agentd (pid {}) uses", daemon.pid());
    assert!(said.contains(&used), "{said}");
    daemon.kill();
    let (code, said) = daemon.check_store(&["--fix"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("rows: good"), "{said}");
    daemon.launch();
}

#[test]
fn a_check_where_no_store_is_changes_nothing() {
    let mut daemon = TestDaemon::prepared("");
    let (code, said) = daemon.check_store(&["--fix"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no store in"), "{said}");
    assert!(!daemon.state().exists());
    // Nor is what is somebody else's closed to others.
    daemon.use_state("shared");
    fs::create_dir(daemon.state()).unwrap();
    fs::set_permissions(daemon.state(), fs::Permissions::from_mode(0o755)).unwrap();
    let (code, _said) = daemon.check_store(&[]);
    assert_eq!(code, Some(1));
    assert_eq!(fs::read_dir(daemon.state()).unwrap().count(), 0);
    let mode = fs::metadata(daemon.state()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}

#[test]
fn agents_copy_no_store_and_reload_nothing() {
    let daemon = TestDaemon::start();
    let program = agentd_tests::program("agentctl");
    let script = format!(
        "{0} --socket {1} backup {2}; echo $?; {0} --socket {1} reload; echo $?",
        program.display(),
        daemon.socket().display(),
        daemon.arg("copy")
    );
    let task = daemon.sh(&script);
    daemon.wait(task);
    let logs = daemon
        .ctl(&["logs", "--raw", "--stdout", &task.to_string()])
        .ok();
    assert_eq!(logs.text(), "7\n7\n", "{logs:?}");
    assert!(!daemon.path("copy").exists());
}
