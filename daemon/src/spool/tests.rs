use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
};

use super::*;
use crate::task::{
    attempt::{Exit, Run, Status},
    id::{TaskId, Timestamp},
    observed::Observed,
};

fn launch() -> Launch {
    Launch {
        attempt: AttemptId {
            task: TaskId::FIRST,
            number: 1,
        },
        nonce: Nonce([3; 16]),
        socket: "/run/x.sock".into(),
        argv: vec!["true".into()],
        env: [("A".to_owned(), "b c\n".to_owned())].into(),
        cwd: "/".into(),
        stdin: Stdin::Prompt,
        polite_signal: 15,
        start_timeout: 1,
        kill_grace: 2,
        result_grace: 11,
        heartbeat: 3,
        idle_timeout: Some(4),
        tool_idle_timeout: Some(5),
        transcript_limit: 4,
        reads: Reads::Nothing,
        fallback: None,
        setup: None,
        sandbox: None,
        notes: vec!["n".to_owned()],
        open_files: Some(1024),
        cgroup: None,
        scope: None,
        memory: Some(1),
        pids: Some(2),
        cpu: Some(3),
    }
}

fn result() -> RunResult {
    RunResult {
        run: Run::Exited {
            started_at: Timestamp(1),
            exit: Exit {
                status: Status::Code(3),
                user_cpu: 1,
                system_cpu: 2,
                peak_memory: 3,
                oom_killed: true,
            },
        },
        ended_at: Timestamp(9),
        left_over: 0,
        by_itself: true,
        lingered: true,
        observed: Box::new(Observed {
            session: Some("s-1".to_owned()),
            ..Observed::default()
        }),
    }
}

fn dir() -> (tempfile::TempDir, AttemptDir) {
    let base = tempfile::tempdir().unwrap();
    let dir = AttemptDir::of(base.path(), launch().attempt);
    dir.create().unwrap();
    (base, dir)
}

#[test]
fn what_is_written_is_read_and_private() {
    let (_base, dir) = dir();
    dir.write_fresh_prompt("do it afresh").unwrap();
    dir.write_launch(&launch(), "do it").unwrap();
    assert_eq!(dir.read_launch().unwrap(), launch());
    assert_eq!(fs::read_to_string(dir.prompt()).unwrap(), "do it");
    assert_eq!(dir.path().metadata().unwrap().mode() & 0o777, 0o700);
    let fresh = fs::read_to_string(dir.fresh_prompt()).unwrap();
    assert_eq!(fresh, "do it afresh");
    for file in [dir.launch(), dir.prompt(), dir.fresh_prompt()] {
        assert_eq!(
            fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}

#[test]
fn a_result_is_read_back_only_with_its_nonce() {
    let (_base, dir) = dir();
    assert_eq!(dir.read_result(Nonce([3; 16])).unwrap(), None);
    dir.write_result(Nonce([3; 16]), &result()).unwrap();
    assert_eq!(dir.read_result(Nonce([3; 16])).unwrap(), Some(result()));
    assert!(matches!(
        dir.read_result(Nonce([4; 16])),
        Err(FormatError::Nonce)
    ));
}

#[test]
fn every_torn_result_is_an_error_and_not_absence() {
    let (_base, dir) = dir();
    dir.write_result(Nonce([3; 16]), &result()).unwrap();
    let whole = fs::read(dir.result()).unwrap();
    for cut in 0..whole.len() {
        fs::write(dir.result(), &whole[..cut]).unwrap();
        assert!(
            matches!(
                dir.read_result(Nonce([3; 16])),
                Err(FormatError::Malformed(_))
            ),
            "cut at {cut}"
        );
    }
}

#[test]
fn a_newer_file_is_refused() {
    let newer = br#"{"version":2,"whatever":true}"#;
    assert!(matches!(
        format::decode_launch(newer),
        Err(FormatError::Version { found: 2 })
    ));
}

#[test]
fn the_lock_tells_the_living_from_the_dead() {
    let (_base, dir) = dir();
    assert_eq!(dir.probe_lock().unwrap(), LockState::Free);
    let lock = dir.lock_for_runner().unwrap();
    assert_eq!(dir.probe_lock().unwrap(), LockState::Held);
    assert!(dir.lock_for_runner().is_err(), "a second runner");
    drop(lock);
    assert_eq!(dir.probe_lock().unwrap(), LockState::Free);
}

#[test]
fn a_runner_takes_over_only_its_own_lock() {
    let (base, dir) = dir();
    let other = AttemptDir::at(base.path().join("other"));
    other.create().unwrap();
    fs::write(other.lock(), b"").unwrap();
    // Opened anew it is another file, as one that a stranger opened.
    let given = File::open(dir.lock());
    assert!(given.is_err(), "no lock was made yet");
    let lock = dir.lock_for_runner().unwrap();
    let stranger = File::open(dir.lock()).unwrap();
    assert!(dir.adopt_lock(&stranger).is_err());
    assert!(other.adopt_lock(&stranger).is_err());
    drop(lock);
    let adopted = dir.adopt_lock(&stranger).unwrap();
    drop(stranger);
    assert_eq!(dir.probe_lock().unwrap(), LockState::Held);
    drop(adopted);
    assert_eq!(dir.probe_lock().unwrap(), LockState::Free);
}

#[test]
fn removing_the_spool_keeps_the_transcript() {
    let (_base, dir) = dir();
    dir.write_fresh_prompt("x").unwrap();
    dir.write_launch(&launch(), "x").unwrap();
    dir.write_result(Nonce([3; 16]), &result()).unwrap();
    fs::create_dir(dir.transcript()).unwrap();
    fs::write(dir.runner_log(), b"").unwrap();
    dir.remove_spool().unwrap();
    dir.remove_spool().unwrap();
    let left: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["transcript"]);
}

#[test]
fn a_concluded_attempt_is_put_away_once() {
    let base = tempfile::tempdir().unwrap();
    let state = StateDir::open(&base.path().join("state")).unwrap();
    let id = launch().attempt;
    let dir = state.attempt(id);
    dir.create().unwrap();
    dir.write_launch(&launch(), "x").unwrap();
    fs::create_dir(dir.transcript()).unwrap();
    let found = || {
        state
            .read_transcript(id, |path| Ok(path.to_owned()))
            .unwrap()
    };
    assert_eq!(found(), dir.transcript());
    state.put_away(id).unwrap();
    state.put_away(id).unwrap();
    assert!(!dir.path().exists());
    assert!(found().is_dir() && found() != dir.transcript());
}

#[test]
fn a_state_directory_that_was_open_to_others_is_closed() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("state");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    StateDir::open(&path).unwrap();
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
}

#[test]
fn only_attempts_are_present_as_such() {
    let base = tempfile::tempdir().unwrap();
    let state = StateDir::open(&base.path().join("state")).unwrap();
    assert_eq!(state.attempts_present().unwrap(), []);
    state.attempt(launch().attempt).create().unwrap();
    fs::create_dir(state.path().join("attempts/lost+found")).unwrap();
    assert_eq!(state.attempts_present().unwrap(), [launch().attempt]);
}

/// The store was put back to how it was, and its number was given again.
#[test]
fn what_was_moved_out_of_the_way_goes_with_what_came_in_its_place() {
    let base = tempfile::tempdir().unwrap();
    let state = StateDir::open(base.path()).unwrap();
    let attempt = |number| AttemptId {
        task: TaskId::FIRST,
        number,
    };
    for number in [1, 1, 1, 10] {
        let dir = state.attempt(attempt(number));
        dir.create().unwrap();
        fs::create_dir(dir.transcript()).unwrap();
        fs::write(dir.transcript().join("0"), [b'x'; 10_000]).unwrap();
        state.put_away(attempt(number)).unwrap();
    }
    let shard = base.path().join("transcripts/0");
    assert_eq!(fs::read_dir(&shard).unwrap().count(), 4);
    assert_eq!(state.kept().unwrap(), [attempt(1), attempt(10)]);
    let sizes = [1, 10].map(|number| state.kept_size(attempt(number)).unwrap());
    assert!(sizes[0] > 2 * sizes[1], "{sizes:?}");
    state.discard(attempt(1)).unwrap();
    assert_eq!(fs::read_dir(&shard).unwrap().count(), 1);
    state.discard(attempt(1)).unwrap();
    state.discard(attempt(10)).unwrap();
    assert_eq!(fs::read_dir(&shard).unwrap().count(), 0);
}
