//! What is wrong, told by the real program, with a daemon and without one.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::Value;

use crate::{
    agentctl, at,
    canned::{Daemon, Script, socket},
    ran,
};

fn document(out: &str) -> Value {
    serde_json::from_str(out).unwrap()
}

fn install(dir: &Path, name: &str, script: &str) {
    fs::create_dir_all(dir).unwrap();
    let (new, file) = (dir.join("new"), dir.join(name));
    fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(new, file).unwrap();
}

#[test]
fn what_the_daemon_finds_and_what_the_client_finds_are_one_list() {
    let (dir, socket) = socket();
    let daemon = Daemon::start(&socket, Script::default());
    install(&dir.path().join("bin"), "codex", "");
    let mut doctor = at(&socket, &["doctor", "-o", "json"]);
    doctor.env("PATH", dir.path().join("bin"));
    let (code, out, err) = ran(&mut doctor);
    assert_eq!((code, err.as_str()), (1, ""));
    let found = document(&out);
    let findings = found["findings"].as_array().unwrap();
    let of = |area: &str, what: &str| {
        let mut found = findings.iter();
        found.find(|f| f["area"] == area && f["what"].as_str().unwrap().contains(what))
    };
    assert_eq!(
        of("system", "git cannot be run").unwrap()["severity"],
        "error"
    );
    let left = of("leftovers", "/state/attempts/9.1").unwrap();
    assert_eq!(left["fixable"], true);
    let codex = of("agents", "codex is on your PATH").unwrap();
    let fix = codex["fix"].as_str().unwrap();
    assert!(fix.contains("[agents.codex]"), "{fix}");
    drop(daemon);
}

#[test]
fn what_cannot_be_mended_is_said_and_stays_wrong() {
    let (dir, socket) = socket();
    let daemon = Daemon::start(&socket, Script::default());
    // What the daemon names is not there.
    let (code, out, err) = ran(&mut at(&socket, &["doctor", "--fix"]));
    assert_eq!(code, 1);
    assert!(
        err.contains("mending: mkdir -p /state/leftovers") && err.contains("that failed:"),
        "{err}"
    );
    assert!(out.contains("/state/attempts/9.1"), "{out}");
    drop((daemon, dir));
}

#[test]
fn without_a_daemon_it_asks_agentd_about_its_files() {
    let (dir, socket) = socket();
    let bin = dir.path().join("bin");
    let doctor = |args: &[&str]| {
        let mut doctor = at(&socket, &[&["doctor"], args].concat());
        doctor.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        doctor.env("HOME", dir.path());
        ran(&mut doctor)
    };
    let own = agentctl(&[]).get_program().to_owned();
    // The one that is built beside it is what it would ask.
    let beside = Path::new(&own).with_file_name("agentd").exists();
    let (code, out, _) = doctor(&[]);
    assert_eq!(code, 1);
    assert!(out.contains("there is no socket"), "{out}");
    assert!(out.contains("fix: agentctl start"), "{out}");
    if !beside {
        assert!(out.contains("there is no agentd"), "{out}");
    }
    drop(dir);
}
