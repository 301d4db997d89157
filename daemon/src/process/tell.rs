//! Programs that are told something: with a time limit, and nothing left behind.

use std::{
    io::{self, Seek as _, Write as _},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::unix::pipe::Receiver,
    time::timeout,
};

use super::Ended;

/// What a stopped program has to tidy up, and what the kernel has to end it.
const GRACE: Duration = Duration::from_secs(2);

/// Runs a program in a process group of its own, with `input` as its standard
/// input. `None`: it took longer than `limit`. What it prints goes nowhere; of its
/// standard error the first `max_output` bytes are kept.
///
/// With its end what is left of its group is ended, too; so is all of it if this
/// is dropped, and its own process if the daemon dies.
///
/// # Errors
/// If it cannot be started.
pub async fn tell(
    mut command: Command,
    input: &[u8],
    limit: Duration,
    max_output: usize,
) -> io::Result<Option<Ended>> {
    let daemon = rustix::process::getpid();
    command
        .stdin(Stdio::from(in_memory(input)?))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0);
    #[expect(unsafe_code, reason = "parent death of a child")]
    // SAFETY: it only makes system calls that may be made between fork and exec.
    unsafe {
        command.pre_exec(move || follow_to_death(daemon));
    }
    // On this thread, which lives for as long as the daemon: with the thread that
    // has started it, it dies.
    let mut group = Group(Some(command.spawn()?));
    let stderr = group.0.as_mut().and_then(|child| child.stderr.take());
    let stderr = OwnedFd::from(stderr.ok_or(Errno::BADF)?);
    let mut stderr = Output {
        pipe: Receiver::from_owned_fd(stderr)?,
        kept: Vec::new(),
        room: max_output,
    };
    let leader = pidfd_open(group.leader().ok_or(Errno::SRCH)?, PidfdFlags::empty())?;
    #[expect(
        unsafe_code,
        reason = "tokio trusts that a descriptor stays what it is"
    )]
    // SAFETY: an `OwnedFd` names the same open descriptor until it is dropped, and
    // it is never taken out of the `AsyncFd`.
    let leader = unsafe { AsyncFd::register_with_interest(leader, Interest::READABLE) }?;
    let in_time = timeout(limit, stderr.read_until_gone(&leader))
        .await
        .is_ok();
    if !in_time {
        group.signal(Signal::TERM);
        // Whether it obeys or not, what follows is the same.
        drop(timeout(GRACE, stderr.read_until_gone(&leader)).await);
    }
    group.signal(Signal::KILL);
    let gone = timeout(GRACE, leader.readable()).await;
    if gone.is_err() {
        // It hangs in the kernel; whoever drops the group waits for it.
        return Ok(None);
    }
    stderr.take_ready();
    let status = group.reap()?;
    Ok(in_time.then_some(Ended {
        status,
        stdout: Vec::new(),
        stderr: stderr.kept,
    }))
}

/// A file that is nowhere, with these bytes.
fn in_memory(bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = memfd_create("notice", MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(file);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// In the child, before the exec.
fn follow_to_death(daemon: Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before the line above.
    match rustix::process::getppid() == Some(daemon) {
        true => Ok(()),
        false => Err(Errno::SRCH.into()),
    }
}

/// A program and its process group. As long as it is not waited for, its number is
/// no other's.
struct Group(Option<Child>);

impl Group {
    fn leader(&self) -> Option<Pid> {
        self.0.as_ref().map(Pid::from_child)
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader() {
            // It cannot fail for a child that is not reaped yet.
            kill_process_group(leader, signal).ok();
        }
    }

    /// Of one that has ended.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        let mut child = self.0.take().ok_or(Errno::CHILD)?;
        child.wait()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mut child) = self.0.take() {
            let reaper = std::thread::Builder::new().name("command-reap".into());
            // Without a thread it stays a zombie until the daemon ends.
            drop(reaper.spawn(move || child.wait()));
        }
    }
}

/// What a program says, read to its end and kept up to a limit.
struct Output {
    pipe: Receiver,
    kept: Vec<u8>,
    room: usize,
}

impl Output {
    /// Reads until the program has ended; others may hold the pipe for longer.
    async fn read_until_gone<T: AsRawFd>(&mut self, leader: &AsyncFd<T>) {
        let mut open = true;
        loop {
            tokio::select! {
                // It fails only if the runtime ends.
                _ = leader.readable() => return,
                ready = self.pipe.readable(), if open => {
                    open = ready.is_ok() && self.take_ready();
                }
            }
        }
    }

    /// Takes what is there. Returns false at the end.
    fn take_ready(&mut self) -> bool {
        let mut chunk = [0; 4096];
        // Whoever writes without end is not to keep the others waiting.
        for _ in 0..16 {
            match self.pipe.try_read(&mut chunk) {
                Ok(0) => return false,
                Ok(count) => {
                    let room = self.room.saturating_sub(self.kept.len());
                    self.kept.extend_from_slice(&chunk[..count.min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use nix::{errno::Errno as Gone, sys::signal::kill, unistd::Pid as Number};

    use super::*;

    /// Far longer than any of it takes.
    const LONG: Duration = Duration::from_secs(60);

    fn sh(script: &str, dir: &Path) -> Command {
        #[expect(clippy::disallowed_methods, reason = "a program to be told something")]
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(dir);
        command
    }

    /// The number that the script has written into `pid`, and whether it is alive.
    fn is_alive(dir: &Path) -> bool {
        let text = fs::read_to_string(dir.join("pid")).unwrap();
        let pid = Number::from_raw(text.trim().parse().unwrap());
        kill(pid, None) != Err(Gone::ESRCH)
    }

    /// As long as it is a zombie it is there.
    async fn wait_dead(dir: &Path) {
        let dead = async {
            while is_alive(dir) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, dead).await.unwrap();
    }

    #[tokio::test]
    async fn it_gets_all_of_its_input_and_what_it_complains_of_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let input = "x".repeat(1 << 20);
        let script = "cat >input; echo out; echo no >&2; yes | head -c 100000 >&2; exit 3";
        let told = tell(sh(script, dir.path()), input.as_bytes(), LONG, 10).await;
        let ended = told.unwrap().unwrap();
        assert_eq!(ended.status.code(), Some(3));
        assert_eq!(ended.stderr.len(), 10);
        assert!(ended.stderr.starts_with(b"no\n"));
        assert!(ended.stdout.is_empty());
        assert_eq!(
            fs::read(dir.path().join("input")).unwrap(),
            input.as_bytes()
        );
    }

    #[tokio::test]
    async fn one_that_hangs_is_ended_with_its_group() {
        let dir = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; sleep 1000 & echo $! >pid; wait";
        let limit = Duration::from_secs(3);
        let told = tell(sh(script, dir.path()), b"", limit, 10).await;
        assert!(told.unwrap().is_none());
        wait_dead(dir.path()).await;
    }

    #[tokio::test]
    async fn what_it_leaves_behind_is_ended_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        // It holds the standard error open.
        let script = "sleep 1000 & echo $! >pid; echo said >&2";
        let told = tell(sh(script, dir.path()), b"", LONG, 10).await;
        let ended = told.unwrap().unwrap();
        assert!(ended.status.success());
        assert_eq!(ended.stderr, b"said\n");
        wait_dead(dir.path()).await;
    }

    #[tokio::test]
    async fn it_ends_when_nobody_waits_for_it_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let told = tell(
            sh("echo $$ >pid.new; mv pid.new pid; sleep 1000", dir.path()),
            b"",
            LONG,
            10,
        );
        let begun = async {
            while !dir.path().join("pid").exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            told = told => panic!("{told:?}"),
            begun = timeout(LONG, begun) => begun.unwrap(),
        }
        wait_dead(dir.path()).await;
    }

    #[tokio::test]
    async fn what_cannot_be_started_is_said() {
        #[expect(clippy::disallowed_methods, reason = "a program that is not there")]
        let command = Command::new("/nonexistent/tell-me");
        let error = tell(command, b"", LONG, 10).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
