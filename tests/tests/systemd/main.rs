//! The units, as systemd itself reads them.

#![expect(clippy::unwrap_used, reason = "tests")]

mod activation;
mod adoption;
mod boot;
mod install;
mod journal;
#[cfg(feature = "vm")]
mod limits;
mod others;
mod package;
mod reboot;
#[cfg(feature = "failpoints")]
mod scope_points;
mod scopes;
mod service;
mod shutdown;
mod users;
#[cfg(feature = "failpoints")]
mod watchdog;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use agentd_tests::command;
use tempfile::TempDir;

/// The units of `kind`, as they would be installed; the programs that they start
/// are ones that are there.
fn units(kind: &str) -> (TempDir, Vec<PathBuf>) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd");
    let dir = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for unit in fs::read_dir(from.join(kind)).unwrap() {
        let unit = unit.unwrap();
        let text = fs::read_to_string(unit.path()).unwrap();
        let installed = text.lines().map(|line| match line.split_once('=') {
            Some(("ExecStart", program)) if program.ends_with("bin/agentd") => {
                "ExecStart=/bin/true"
            }
            Some(("ExecReload", call)) => {
                assert!(call.ends_with("bin/agentctl reload"), "{line}");
                "ExecReload=/bin/true"
            }
            Some(_) | None => line,
        });
        let path = dir.path().join(unit.file_name());
        fs::write(&path, installed.collect::<Vec<_>>().join("\n")).unwrap();
        paths.push(path);
    }
    assert_eq!(paths.len(), 4, "{paths:?}");
    (dir, paths)
}

fn analyze(dir: &Path, kind: &str, verb: &[&str], units: &[PathBuf]) -> Output {
    command(Path::new("systemd-analyze"), dir)
        .env("XDG_RUNTIME_DIR", dir)
        .arg(format!("--{kind}"))
        .args(verb)
        .args(units)
        .output()
        .unwrap()
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    for kind in ["user", "system"] {
        let (dir, paths) = units(kind);
        let looked = analyze(dir.path(), kind, &["verify", "--man=no"], &paths);
        let said = String::from_utf8_lossy(&looked.stderr);
        // What systemd before 254 does not know, and says so.
        let mut faults = said
            .lines()
            .filter(|line| !line.contains("Unknown key 'DelegateSubgroup'"))
            .filter(|line| line.contains("agentd"));
        assert_eq!(faults.next(), None, "{kind}: {said}");
        assert!(looked.status.success(), "{kind}: {said}");
    }
}

/// How much the machine's daemon is exposed, from 0 to 10. It was 4.3 when this
/// was written: a daemon whose children build and run programs cannot be much
/// lower, and whoever takes protection away is to know.
#[test]
fn the_machines_daemon_is_not_exposed_more_than_it_was() {
    let (dir, paths) = units("system");
    let service = paths
        .into_iter()
        .filter(|path| path.ends_with("agentd.service"));
    let service: Vec<_> = service.collect();
    let verb = ["security", "--offline=yes", "--threshold=45", "--no-pager"];
    let looked = analyze(dir.path(), "system", &verb, &service);
    let said = String::from_utf8_lossy(&looked.stdout);
    assert!(said.contains("Overall exposure level"), "{said}");
    assert!(looked.status.success(), "{said}");
}
