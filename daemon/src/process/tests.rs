#![expect(clippy::disallowed_methods, reason = "tests start processes")]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{stat::Stat, *};
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
fn this_process_is_looked_at() {
    let own = own().unwrap();
    assert!(own.cpu > Duration::ZERO && own.resident > 0, "{own:?}");
    // The harness and this test.
    assert!(own.threads >= 2 && own.files >= 3, "{own:?}");
    let most = own.most_files;
    assert!(most.is_none_or(|most| own.files <= most), "{own:?}");
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

#[test]
fn a_marker_does_not_tell_the_nonce() {
    let nonce = Nonce([0xab; 16]);
    let marker = marker(0xab);
    assert!(!marker.value().contains(&nonce.to_hex()));
    let digest = marker.value().split(':').next_back().unwrap();
    assert_eq!(digest.len(), 32, "{digest}");
    assert_ne!(marker, self::marker(1));
}

fn stat(pid: u32, parent: u32) -> Stat {
    Stat {
        pid,
        parent,
        alive: true,
        threads: 1,
        start_ticks: u64::from(pid),
        cpu_ticks: 0,
        resident: 0,
    }
}

/// An agent has started a daemon, which has a runner, which has an agent.
#[test]
fn a_sweep_spares_the_daemon_that_makes_it() {
    let all = || {
        vec![
            stat(10, 1),  // the agent, marked
            stat(11, 10), // a shell without the marker
            stat(12, 11), // the daemon
            stat(13, 12), // its runner
            stat(14, 13), // an agent of it
            stat(15, 10), // of the agent, by descent only
            stat(16, 11), // of the shell, not marked
            stat(17, 12), // an orphan that came to the daemon, marked
            stat(18, 17), // and its child
        ]
    };
    let swept = |own, marked: &[u32]| {
        let found = marker::of_attempt(all(), own, |stat| marked.contains(&stat.pid));
        let mut pids: Vec<u32> = found.iter().map(|stat| stat.pid).collect();
        pids.sort_unstable();
        pids
    };
    assert_eq!(swept(12, &[10, 17]), [10, 15, 17, 18]);
    assert_eq!(swept(12, &[12]), [0; 0], "never itself");
    // A stranger sweeps all that is below.
    assert_eq!(swept(1, &[10]), [10, 11, 12, 13, 14, 15, 16, 17, 18]);
}

/// Says that it is ready and stays as it is: in the middle of an exec a process
/// has no environment to be known by.
const STAY: &str = "echo; kill -STOP $$";

#[test]
fn agents_are_known_by_marker_and_by_ancestors() {
    let come_from = |child: &Child| {
        let name = identity(child.id()).unwrap().unwrap();
        origin(child.id(), name.start_ticks).unwrap()
    };
    let mut outside = shell(STAY, None);
    assert_eq!(come_from(&outside), Origin::Outside);
    let mut marked = shell(STAY, Some(&marker(3)));
    let attempt = Origin::Attempt(format!("1.{}", std::process::id()));
    assert_eq!(come_from(&marked), attempt);

    // Without the marker, in a session of its own: its parent tells.
    let script = "env -u AGENTD_ATTEMPT setsid sh -c 'echo $$; kill -STOP $$' & wait";
    let mut parent = Command::new("sh");
    parent.args(["-c", script]).stdout(Stdio::piped());
    for variable in [Marker::VARIABLE, Marker::RUNNER] {
        let mut parent = parent
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap());
        parent = parent.env(variable, marker(4).value());
        let mut parent = parent.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(parent.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let hidden: u32 = line.trim().parse().unwrap();
        let name = identity(hidden).unwrap().unwrap();
        assert_eq!(origin(hidden, name.start_ticks).unwrap(), attempt);
        // A runner itself is the daemon's own.
        let of_parent = match variable == Marker::RUNNER {
            true => Origin::Outside,
            false => attempt.clone(),
        };
        assert_eq!(come_from(&parent), of_parent);
        Pinned::open(&name)
            .unwrap()
            .unwrap()
            .signal(Signal::KILL)
            .unwrap();
        parent.wait().unwrap();
        assert_eq!(origin(hidden, name.start_ticks).unwrap(), Origin::Unknown);
    }
    for child in [&mut outside, &mut marked] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// The shell's own child, which it leaves behind, and the word of a test.
fn left_behind(ended: Option<Ended>) -> (u32, String) {
    let said = String::from_utf8(ended.unwrap().stdout).unwrap();
    let (pid, word) = said.trim().split_once(' ').unwrap();
    (pid.parse().unwrap(), word.to_owned())
}

#[test]
fn a_program_that_is_held_writes_where_it_may_and_leaves_nothing_in_its_group() {
    let exe = std::env::current_exe().unwrap();
    let dir = tempfile::tempdir_in(exe.parent().unwrap()).unwrap();
    std::fs::create_dir(dir.path().join("mine")).unwrap();
    let command = || {
        let mut command = Command::new("sh");
        let script = "sleep 1000 >/dev/null 2>&1 & \
                      (: >mine/file) 2>/dev/null && (: >other) 2>/dev/null && w=out; \
                      test -e mine/file && echo $! ${w:-in}";
        command.args(["-c", script]).current_dir(dir.path());
        command
    };
    let limit = Duration::from_secs(60);
    let mut held = command();
    Cage::new(&[dir.path().join("mine")], &[])
        .unwrap()
        .hold(&mut held);
    let (pid, word) = left_behind(run_alone(held, limit, 1024).unwrap());
    assert_eq!(word, "in");
    let left = identity(pid).unwrap();
    if let Some(left) = left.and_then(|left| Pinned::open(&left).unwrap()) {
        // It was killed, and may be about to go.
        let end = rustix::event::PollFd::new(left.fd(), rustix::event::PollFlags::IN);
        let limit = rustix::event::Timespec::try_from(limit).unwrap();
        assert_eq!(rustix::event::poll(&mut [end], Some(&limit)), Ok(1));
    }
    // Others may leave what they like, and are held by nothing.
    let (pid, word) = left_behind(run(command(), limit, 1024).unwrap());
    assert_eq!(word, "out");
    let left = identity(pid).unwrap().expect("it was left");
    let left = Pinned::open(&left).unwrap().unwrap();
    left.signal(Signal::KILL).unwrap();
}
