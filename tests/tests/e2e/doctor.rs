//! What is wrong with a real daemon, and what mends it.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use agentd_tests::{Output, TestDaemon};
use serde_json::Value;

use crate::install;

/// A daemon on whose `PATH` no agent is, whatever this machine has.
fn lonely() -> TestDaemon {
    let mut daemon = TestDaemon::prepared("[daemon]\nmin_free_disk = \"1MiB\"\n");
    daemon.use_path(&tools(&daemon));
    daemon.launch();
    daemon
}

/// A directory with git and a shell, wherever this machine has them, and nothing
/// else.
fn tools(daemon: &TestDaemon) -> String {
    let dir = daemon.path("tools");
    fs::create_dir_all(&dir).unwrap();
    let path = env::var_os("PATH").unwrap();
    for name in ["git", "sh"] {
        if !dir.join(name).exists() {
            let mut places = env::split_paths(&path).map(|place| place.join(name));
            let from = places.find(|place| place.is_file()).unwrap();
            symlink(from, dir.join(name)).unwrap();
        }
    }
    daemon.arg("tools")
}

/// A call by a user whose shell has this `PATH`, and files below `xdg`.
fn doctor(daemon: &TestDaemon, path: &str, args: &[&str]) -> Output {
    let mut command = daemon
        .agentctl()
        .command(&[&["doctor", "-o", "json"], args].concat());
    command
        .env("PATH", path)
        .env("XDG_STATE_HOME", daemon.path("xdg"))
        .env("AGENTD_CONFIG", daemon.path("config.toml"));
    Output::wait(command.spawn().unwrap())
}

/// What is wrong.
fn wrong(output: &Output) -> Vec<Value> {
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = found["findings"].as_array().unwrap().iter();
    let bad = |f: &&Value| f["severity"] == "warning" || f["severity"] == "error";
    findings.filter(bad).cloned().collect()
}

fn says(finding: &Value, key: &str, text: &str) -> bool {
    finding[key]
        .as_str()
        .is_some_and(|said| said.contains(text))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn nothing_is_wrong_with_a_daemon_that_works() {
    let daemon = lonely();
    daemon.wait(daemon.sh("true"));
    let seen = doctor(&daemon, &tools(&daemon), &[]);
    assert_eq!(wrong(&seen), Vec::<Value>::new());
    assert_eq!(seen.code, 0, "{seen:?}");
    let found: Value = serde_json::from_slice(&seen.stdout).unwrap();
    for area in [
        "daemon",
        "config",
        "permissions",
        "store",
        "agents",
        "cgroups",
        "units",
        "leftovers",
        "system",
    ] {
        let mut all = found["findings"].as_array().unwrap().iter();
        assert!(all.any(|finding| finding["area"] == area), "{area}");
    }
}

#[test]
fn an_agent_that_only_the_users_shell_finds_is_mended_by_what_is_said() {
    let daemon = lonely();
    let bin = daemon.path("bin");
    fs::create_dir(&bin).unwrap();
    install(&bin.join("gemini"), "echo 99.0.0");
    let path = format!("{}:{}", bin.display(), tools(&daemon));
    let seen = doctor(&daemon, &path, &[]);
    let found = wrong(&seen);
    assert_eq!(seen.code, 1);
    assert!(
        says(
            &found[0],
            "what",
            "gemini is on your PATH and not on the daemon's"
        ),
        "{found:#?}"
    );
    // What is said is typed as it is.
    let fix = found[0]["fix"].as_str().unwrap();
    let (write, reload) = fix.rsplit_once(" && ").unwrap();
    assert_eq!(reload, "agentctl reload");
    let mut shell = agentd_tests::command(Path::new("/bin/sh"), &daemon.home());
    let done = shell.args(["-c", write]).status().unwrap();
    assert!(done.success(), "{write}");
    let seen = doctor(&daemon, &path, &[]);
    let stale = wrong(&seen);
    let changed = |f: &Value| f["fix"] == "agentctl reload" && says(f, "why", "agents.gemini");
    assert!(stale.iter().any(changed), "{stale:#?}");
    let _reloaded = daemon.ctl(&["reload"]).ok();
    let seen = doctor(&daemon, &path, &[]);
    let missing = |f: &Value| says(f, "what", "PATH");
    assert!(!wrong(&seen).iter().any(missing), "{seen:?}");
}

#[test]
fn what_others_may_use_is_closed() {
    let daemon = lonely();
    fs::set_permissions(daemon.state(), fs::Permissions::from_mode(0o755)).unwrap();
    let seen = doctor(&daemon, &tools(&daemon), &[]);
    let found = wrong(&seen);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(says(&found[0], "fix", "chmod 0700"), "{found:#?}");
    assert_eq!(mode(&daemon.state()), 0o755, "without --fix it only looks");
    let mended = doctor(&daemon, &tools(&daemon), &["--fix"]);
    assert_eq!((mended.code, wrong(&mended).len()), (0, 0), "{mended:?}");
    assert!(mended.stderr.contains("mending: chmod 0700"), "{mended:?}");
    assert_eq!(mode(&daemon.state()), 0o700);
}

#[test]
fn what_is_left_of_an_unknown_attempt_is_kept_aside() {
    let daemon = lonely();
    let left = daemon.state().join("attempts/900.1");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("result"), "work").unwrap();
    let seen = doctor(&daemon, &tools(&daemon), &[]);
    let found = wrong(&seen);
    assert!(
        found.len() == 1 && says(&found[0], "what", "attempts/900.1"),
        "{found:#?}"
    );
    let mended = doctor(&daemon, &tools(&daemon), &["--fix"]);
    assert_eq!(mended.code, 0, "{mended:?}");
    let aside = daemon.state().join("leftovers/900.1/result");
    assert_eq!(fs::read_to_string(aside).unwrap(), "work");
    assert!(!left.exists());
    // One that is under way is none.
    let gate = daemon.gate("gate");
    let task = daemon.sh(&format!("read _ <{}; true", gate.path()));
    let waiting = gate.reached();
    let seen = doctor(&daemon, &tools(&daemon), &["--fix"]);
    assert_eq!((seen.code, wrong(&seen).len()), (0, 0), "{seen:?}");
    drop(waiting);
    assert_eq!(daemon.wait(task)["state"], "succeeded");
}

#[test]
fn without_a_daemon_its_files_are_looked_at() {
    let mut daemon = TestDaemon::prepared("");
    daemon.use_state("xdg/agentd");
    let path = tools(&daemon);
    let nobody = doctor(&daemon, &path, &[]);
    let found = wrong(&nobody);
    assert!(
        found.len() == 1 && says(&found[0], "what", "there is no socket"),
        "{found:#?}"
    );
    daemon.launch();
    daemon.wait(daemon.sh("true"));
    daemon.kill();

    let seen = doctor(&daemon, &path, &[]);
    let found = wrong(&seen);
    assert!(
        found.len() == 1 && says(&found[0], "what", "nobody listens"),
        "{found:#?}"
    );
    daemon.configure("[agents.x]\ntipe = \"command\"\n");
    let seen = doctor(&daemon, &path, &[]);
    let at = |f: &Value| says(f, "what", "config.toml:2:1: unknown key agents.x.tipe");
    assert!(wrong(&seen).iter().any(at), "{seen:?}");

    daemon.configure("");
    fs::write(daemon.state().join("agentd.redb"), "broken").unwrap();
    let seen = doctor(&daemon, &path, &["--fix"]);
    let damaged = |f: &Value| f["area"] == "store" && f["severity"] == "error";
    let found = wrong(&seen);
    assert!(found.iter().any(damaged), "{found:#?}");
    assert_eq!(
        fs::read(daemon.state().join("agentd.redb")).unwrap(),
        b"broken"
    );
}
