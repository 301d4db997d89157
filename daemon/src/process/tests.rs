#![expect(clippy::disallowed_methods, reason = "tests start processes")]

use std::{
    io::Read as _,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::*;
use crate::task::id::{AttemptId, Nonce, TaskId};

/// A shell that has said that it is ready.
fn shell(script: &str, marker: Option<&Marker>) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdout(Stdio::piped());
    if let Some(marker) = marker {
        command.env(Marker::VARIABLE, marker.value());
    }
    let mut child = command.spawn().unwrap();
    let mut ready = [0];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut ready)
        .unwrap();
    child
}

fn marker(byte: u8) -> Marker {
    let attempt = AttemptId {
        task: TaskId::FIRST,
        number: std::process::id(),
    };
    Marker::new(attempt, Nonce([byte; 16]))
}

#[test]
fn a_process_is_itself_and_no_other() {
    let me = identity(std::process::id()).unwrap().unwrap();
    assert!(is_alive(&me).unwrap());
    let mut other = me.clone();
    other.start_ticks += 1;
    assert!(!is_alive(&other).unwrap());
    assert!(Pinned::open(&other).unwrap().is_none());
    let mut other = me.clone();
    other.boot_id = "another boot".into();
    assert!(!is_alive(&other).unwrap());
    assert!(Pinned::open(&other).unwrap().is_none());
    assert!(Pinned::open(&me).unwrap().is_some());
    assert!(identity(0).unwrap().is_none());
}

#[test]
fn a_zombie_is_dead() {
    let mut child = shell("echo; exec sleep 1000", None);
    let name = identity(child.id()).unwrap().unwrap();
    let process = Pinned::open(&name).unwrap().unwrap();
    process.signal(Signal::KILL).unwrap();
    rustix::event::poll(
        &mut [rustix::event::PollFd::new(
            process.fd(),
            rustix::event::PollFlags::IN,
        )],
        None,
    )
    .unwrap();
    assert!(!is_alive(&name).unwrap(), "nobody has waited for it yet");
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    process.signal(Signal::KILL).unwrap();
    assert!(Pinned::open(&name).unwrap().is_none());
}

#[test]
fn a_tree_is_seen_and_ended_whole() {
    let mut child = shell(
        "trap '' TERM; setsid sleep 1000 & sleep 1000 & sleep 1000 & echo; wait",
        None,
    );
    assert_eq!(descendants(child.id()).unwrap().len(), 3);
    assert_eq!(figures(child.id()).unwrap().processes, 3);
    assert_eq!(sweep(child.id()).unwrap(), 3);
    assert!(child.wait().unwrap().success(), "the root is spared");
}

#[test]
fn marked_processes_are_found_wherever_they_are() {
    let mut ours = shell(
        "(setsid sh -c 'trap \"\" TERM; while :; do sleep 1000; done' >/dev/null &) ; \
         env -i sleep 1000 & while [ $(cat /proc/$!/comm) != sleep ]; do :; done; echo; wait",
        Some(&marker(1)),
    );
    let mut others = shell("echo; exec sleep 1000", Some(&marker(2)));
    let found = with_marker(&marker(1)).unwrap();
    assert!(found.len() >= 3, "{found:?}");
    assert!(!found.contains(&others.id()));
    let outcome = sweep_marked(&marker(1), Duration::from_secs(20)).unwrap();
    assert!(outcome.killed >= 3);
    assert_eq!(outcome.left, 0);
    assert!(with_marker(&marker(1)).unwrap().is_empty());
    assert_eq!(ours.wait().unwrap().signal(), Some(9));
    assert_eq!(others.try_wait().unwrap(), None);
    others.kill().unwrap();
    others.wait().unwrap();
}
