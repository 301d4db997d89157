//! Programs that are asked something: with a time limit, bounded output, and
//! nothing left behind.

use std::{
    io::{self, Read},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};

/// What a stopped program has to tidy up, and then to end.
const GRACE: Duration = Duration::from_secs(2);

/// How a program ended, and what it printed.
#[derive(Debug)]
pub struct Ended {
    /// Its exit.
    pub status: ExitStatus,
    /// Up to the limit, and some more if there was more.
    pub stdout: Vec<u8>,
    /// The same.
    pub stderr: Vec<u8>,
}

/// Runs a program in a process group of its own. `None`: it was ended, with its
/// group, because it took longer than `limit`. Of each output `max_output`
/// bytes are kept, and up to one chunk more if there were more. Blocks.
///
/// # Errors
/// If it cannot be started.
pub fn run(command: Command, limit: Duration, max_output: usize) -> io::Result<Option<Ended>> {
    run_with(command, limit, max_output, Rest::Stays)
}

/// As [`run`], of a program that may be led to run others: with its end, what is left of
/// its group is ended, too.
///
/// # Errors
/// Those of [`run`].
pub fn run_alone(
    command: Command,
    limit: Duration,
    max_output: usize,
) -> io::Result<Option<Ended>> {
    run_with(command, limit, max_output, Rest::Ends)
}

/// What becomes of the rest of its group once a program has ended by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Stays,
    Ends,
}

fn run_with(
    mut command: Command,
    limit: Duration,
    max_output: usize,
    rest: Rest,
) -> io::Result<Option<Ended>> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let stdout = Capture::of(child.stdout.take(), max_output);
    let stderr = Capture::of(child.stderr.take(), max_output);
    let ended = watch(&child);
    let (Ok(stdout), Ok(stderr), Ok(ended)) = (stdout, stderr, ended) else {
        stop(&child, Signal::SIGKILL);
        reap_later(child);
        return Err(Errno::EAGAIN.into());
    };
    let status = wait(child, &ended, limit, rest)?;
    Ok(status.map(|status| Ended {
        status,
        stdout: stdout.take(),
        stderr: stderr.take(),
    }))
}

/// Says when the child has ended, and leaves it to be reaped: until then its
/// pid cannot become another's.
fn watch(child: &Child) -> io::Result<Receiver<()>> {
    let pid = pid_of(child);
    let (ended, receiver) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("command-wait".into())
        .spawn(move || {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            while waitid(Id::Pid(pid), flags) == Err(Errno::EINTR) {}
            // Nobody listens any more if it was given up.
            drop(ended);
        })?;
    Ok(receiver)
}

/// `None`: it was stopped at its limit.
fn wait(
    mut child: Child,
    ended: &Receiver<()>,
    limit: Duration,
    rest: Rest,
) -> io::Result<Option<ExitStatus>> {
    // The sender is dropped, never used: a disconnect is the end.
    let gone = |limit| ended.recv_timeout(limit) != Err(RecvTimeoutError::Timeout);
    if gone(limit) {
        // As long as it is not waited for, its group is no other's.
        if rest == Rest::Ends {
            stop(&child, Signal::SIGKILL);
        }
        return child.wait().map(Some);
    }
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        stop(&child, signal);
        if gone(GRACE) {
            break;
        }
    }
    // What it has started and ignored the polite signal.
    stop(&child, Signal::SIGKILL);
    reap_later(child);
    Ok(None)
}

fn stop(child: &Child, signal: Signal) {
    // It cannot fail for a child that is not reaped yet.
    let _sent = killpg(pid_of(child), signal);
}

/// A process in an uninterruptible wait ends when the kernel lets it.
fn reap_later(mut child: Child) {
    let reaper = thread::Builder::new().name("command-reap".into());
    // Without a thread it stays a zombie until the daemon ends.
    let _started = reaper.spawn(move || child.wait());
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// A stream that is read to its end, and kept up to a limit.
struct Capture {
    kept: Arc<Mutex<Vec<u8>>>,
    done: Receiver<()>,
}

impl Capture {
    fn of(stream: Option<impl Read + Send + 'static>, max_output: usize) -> io::Result<Self> {
        let mut stream = stream.ok_or(Errno::EBADF)?;
        let (ended, done) = mpsc::sync_channel::<()>(1);
        let kept = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&kept);
        thread::Builder::new()
            .name("command-read".into())
            .spawn(move || {
                let mut chunk = [0; 8192];
                loop {
                    match stream.read(&mut chunk) {
                        Ok(0) => break,
                        Ok(count) => {
                            let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
                            // One chunk more than the limit shows that there was more.
                            if kept.len() <= max_output {
                                kept.extend_from_slice(&chunk[..count]);
                            }
                        }
                        Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                        Err(_) => break,
                    }
                }
                drop(ended);
            })?;
        Ok(Self { kept, done })
    }

    /// What has been read. A process that it left behind may hold the
    /// stream open for ever: that is not waited for.
    fn take(self) -> Vec<u8> {
        let _end = self.done.recv_timeout(GRACE);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut kept)
    }
}
