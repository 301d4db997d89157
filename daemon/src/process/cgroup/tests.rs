#![expect(clippy::disallowed_methods, reason = "tests start processes")]

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use super::*;
use crate::task::id::TaskId;

fn attempt() -> AttemptId {
    AttemptId {
        task: TaskId::FIRST,
        number: std::process::id(),
    }
}

#[test]
fn the_mount_is_found_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let point = dir.path().join("a b");
    fs::create_dir_all(point.join("inner/own")).unwrap();
    let at = point.display().to_string().replace(' ', "\\040");
    let line = |root: &str, kind: &str| {
        format!("41 31 0:38 {root} {at} rw,relatime shared:9 - {kind} cgroup2 rw")
    };
    let found = |root, kind, group| place(&line(root, kind), group);
    let own = Some(point.join("inner/own"));
    assert_eq!(found("/", "cgroup2", "/inner/own"), own);
    assert_eq!(found("/up", "cgroup2", "/up/inner/own"), own);
    assert_eq!(found("/", "cgroup2", "/"), Some(point.clone()));
    assert_eq!(found("/", "cgroup", "/inner/own"), None);
    assert_eq!(found("/other", "cgroup2", "/inner/own"), None);
    assert_eq!(found("/", "cgroup2", "/../inner/own"), None);
    assert_eq!(found("/", "cgroup2", "/gone"), None);
    assert_eq!(place("41 31 0:38 /", "/"), None);
}

#[test]
fn a_leaf_is_that_of_one_attempt_and_state() {
    let state = Path::new("/state");
    let groups = Groups {
        base: "/groups".into(),
        prefix: prefix(state),
        controllers: Vec::new(),
    };
    let other = AttemptId {
        number: attempt().number + 1,
        ..attempt()
    };
    let leaf = groups.leaf(attempt());
    assert!(is_leaf_of(&leaf, state, attempt()));
    assert!(!is_leaf_of(&leaf, Path::new("/other"), attempt()));
    assert!(!is_leaf_of(&leaf, state, other));
    assert!(!is_leaf_of(&groups.base, state, attempt()));
    assert!(!is_leaf_of(Path::new("/groups/../x"), state, attempt()));
}

#[test]
fn values_are_found_by_their_whole_name() {
    let text = "oom 3\noom_kill 2\noom_group_kill 1\n";
    assert_eq!(field(text, "oom_kill"), Some(2));
    assert_eq!(field(text, "oom"), Some(3));
    assert_eq!(field(text, "max"), None);
}

#[test]
fn all_of_a_leaf_is_killed_at_once() {
    let dir = tempfile::tempdir().unwrap();
    // Where none can be made there is nothing to test: the end-to-end
    // tests show that it goes without.
    let Some(groups) = Groups::find(dir.path()).unwrap() else {
        return;
    };
    let path = groups.leaf(attempt());
    let leaf = Leaf::make(path.clone()).unwrap();
    let inner = path.join("inner/most");
    fs::create_dir_all(&inner).unwrap();
    assert!(!leaf.is_populated().unwrap());
    let script = format!(
        "echo 0 >{} && trap '' TERM && (setsid sleep 1000 & sleep 1000 & wait)",
        inner.join("cgroup.procs").display()
    );
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    while !leaf.holds(child.id()).unwrap() {
        assert_eq!(child.try_wait().unwrap(), None);
    }
    assert_eq!(leaf_of(child.id()).unwrap().unwrap().attempt, attempt());
    assert!(leaf.is_populated().unwrap());
    assert!(!leaf.wait_empty(Duration::from_millis(1)).unwrap());
    assert!(leaf.remove().is_err(), "there is a process in it");
    assert!(Leaf::make(path.clone()).is_err(), "and it is not ours");
    leaf.kill().unwrap();
    child.wait().unwrap();
    assert!(leaf.wait_empty(Duration::from_secs(20)).unwrap());
    leaf.remove().unwrap();
    leaf.remove().unwrap();
    assert!(!path.exists());
    assert!(!leaf.is_populated().unwrap());
    assert!(leaf.wait_empty(Duration::ZERO).unwrap());
}
