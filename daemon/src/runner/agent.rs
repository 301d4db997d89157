//! The agent's process: how it is started and waited for.

use std::{
    collections::BTreeMap,
    ffi::CStr,
    fs::File,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    signal::SigSet,
};
use rustix::{
    event::Timespec,
    fs::{Mode, OFlags},
    io::Errno,
    pipe::{PipeFlags, fcntl_setpipe_size, pipe_with},
    process::{Pid, Signal, WaitOptions},
};
use tokio::net::unix::pipe::Receiver;

use super::log;
use crate::{
    process::{self, Cage, Leaf, LeafLimits, Marker},
    spool::{Launch, Sandbox},
    task::attempt::{Exit, ProcessIdentity, Status},
};

/// Room in the pipe of an output, if the system grants it: how far an agent
/// can print ahead while we write.
const PIPE_SIZE: usize = 256 * 1024;
/// So much sooner than ours and the daemon's its processes go when memory runs
/// out; and the latest score that one of them has.
const OOM_SOONER: i32 = 500;
const OOM_LATEST: i32 = 500;
/// The earliest there is (proc(5)).
const OOM_FIRST: i32 = 1000;
const OOM_FILE: &CStr = c"/proc/self/oom_score_adj";
/// How long the kill of a tree is waited for that must not live on.
const UNDO: Duration = Duration::from_secs(10);
/// Between two sweeps of it.
const UNDO_PAUSE: Duration = Duration::from_millis(20);

/// An agent that was started.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) identity: ProcessIdentity,
    pub(super) stdout: Receiver,
    pub(super) stderr: Receiver,
    /// Its tree is in here.
    pub(super) leaf: Option<Leaf>,
    /// Lines for the transcript.
    pub(super) notes: Vec<String>,
}

/// An agent that was not.
#[derive(Debug)]
pub(super) struct SpawnError {
    pub(super) message: String,
    /// The program is not there or may not be run.
    pub(super) missing: bool,
}

impl SpawnError {
    fn new(what: &str, error: &io::Error) -> Self {
        Self {
            message: format!("{what}: {}", words(error)),
            missing: false,
        }
    }
}

/// The system's words without the number behind them.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// What is run for an attempt. Holds its environment: never logged.
pub(super) struct Program<'a> {
    pub(super) argv: &'a [String],
    pub(super) env: &'a BTreeMap<String, String>,
    /// Its standard input; `None`: nothing.
    pub(super) stdin: Option<PathBuf>,
}

/// Starts the agent in a session of its own, in its control group if it is to
/// have one; it is killed by the kernel when this thread ends. That is the
/// thread of the loop, which lives for as long as the process.
///
/// If it fails, nothing of the agent is left.
pub(super) fn spawn(launch: &Launch, program: &Program<'_>) -> Result<Agent, SpawnError> {
    debug_assert_eq!(rustix::thread::gettid(), rustix::process::getpid());
    let mut notes = Vec::new();
    let mut leaf = launch.cgroup.clone().and_then(|path| {
        let made = Leaf::make(path);
        let failed = |error: &io::Error| {
            notes.push(format!("no control group for the agent: {}", words(error)));
        };
        made.inspect_err(failed).ok()
    });
    limit(leaf.as_ref(), launch, &mut notes);
    let spawned = spawn_in(launch, program, leaf.as_ref());
    let (child, stdout, stderr) = spawned.inspect_err(|_| remove(leaf.as_ref()))?;
    // What was open for the child is closed by now, so it does not fail for
    // want of a descriptor.
    let identity = match process::identity_of_child(child) {
        Ok(identity) => identity,
        Err(error) => {
            drop((stdout, stderr));
            undo(child, leaf.as_ref());
            return Err(SpawnError::new("cannot see the agent's process", &error));
        }
    };
    if leaf
        .as_ref()
        .is_some_and(|leaf| !leaf.holds(child).unwrap_or(false))
    {
        notes.push("the agent could not enter its control group".to_owned());
        remove(leaf.take().as_ref());
    }
    Ok(Agent {
        identity,
        stdout,
        stderr,
        leaf,
        notes,
    })
}

/// Sets the limits of a tree, and says which of them do not hold.
fn limit(leaf: Option<&Leaf>, launch: &Launch, notes: &mut Vec<String>) {
    let limits = LeafLimits {
        memory: launch.memory,
        pids: launch.pids,
        cpu: launch.cpu,
    };
    let Some(leaf) = leaf else {
        if limits != LeafLimits::default() {
            notes.push("memory, pids and cpu are not limited: no control group".to_owned());
        }
        return;
    };
    for (name, error) in leaf.limit(limits) {
        let why = if error.kind() == io::ErrorKind::NotFound {
            "its control group has no such controller".to_owned()
        } else {
            words(&error)
        };
        notes.push(format!("{name} is not limited: {why}"));
    }
}

/// Removes a leaf that nobody has come into.
fn remove(leaf: Option<&Leaf>) {
    if let Some(Err(error)) = leaf.map(Leaf::remove) {
        log("cannot remove the agent's control group", &error);
    }
}

/// Kills a child and all that it may have started by now.
fn undo(child: u32, leaf: Option<&Leaf>) {
    let begin = Instant::now();
    let child = i32::try_from(child).ok().and_then(Pid::from_raw);
    loop {
        if let Some(Err(error)) = leaf.map(Leaf::kill) {
            log("cannot end the agent's control group", &error);
        }
        if let Some(child) = child {
            // It is our child and was not waited for: the pid is its own. Not
            // through a pidfd: there may be no descriptor to be had.
            rustix::process::kill_process(child, Signal::KILL).ok();
            rustix::process::kill_process_group(child, Signal::KILL).ok();
        }
        if let Err(error) = process::sweep(std::process::id()) {
            log("cannot look at the agent's processes", &error);
        }
        match reap(None) {
            Ok(Reaped { empty: true, .. }) => break,
            Ok(Reaped { .. }) => {}
            Err(error) => log("cannot wait for the agent's processes", &error),
        }
        if begin.elapsed() > UNDO {
            log("gave up", &"a process of the agent cannot be ended");
            break;
        }
        let pause = Timespec::try_from(UNDO_PAUSE).unwrap_or_default();
        rustix::event::poll(&mut [], Some(&pause)).ok();
    }
    remove(leaf);
}

/// The child and our ends of its outputs.
fn spawn_in(
    launch: &Launch,
    what: &Program<'_>,
    leaf: Option<&Leaf>,
) -> Result<(u32, Receiver, Receiver), SpawnError> {
    let internal = |error: io::Error| SpawnError::new("cannot make a pipe", &error);
    let stdin = match &what.stdin {
        Some(prompt) => File::open(prompt)
            .map(Stdio::from)
            .map_err(|error| SpawnError::new("cannot open the prompt", &error))?,
        None => Stdio::null(),
    };
    let (stdout, agents_stdout) = output_pipe().map_err(internal)?;
    let (stderr, agents_stderr) = output_pipe().map_err(internal)?;
    let Some((program, arguments)) = what.argv.split_first() else {
        let error = io::ErrorKind::InvalidInput.into();
        return Err(SpawnError::new("no program is named", &error));
    };
    #[expect(clippy::disallowed_methods, reason = "the runner starts its agent")]
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(&launch.cwd)
        .env_clear()
        .envs(what.env)
        .env(
            Marker::VARIABLE,
            Marker::new(launch.attempt, launch.nonce).value(),
        )
        .stdin(stdin)
        .stdout(agents_stdout)
        .stderr(agents_stderr);
    let cage = launch.sandbox.as_ref().map(cage).transpose()?;
    let before = Before {
        runner: rustix::process::getpid(),
        entrance: leaf.and_then(|leaf| leaf.entrance().ok()),
        oom_score: oom_score(),
        cage,
    };
    #[expect(unsafe_code, reason = "session, signals and parent death of a child")]
    // SAFETY: `prepare` only makes system calls that may be made between fork
    // and exec; it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || prepare(&before));
    }
    failpoint!("runner.exec.before").map_err(|error| why_not(program, &launch.cwd, &error))?;
    // Dropping the child does not wait for it: all children are waited for
    // by `reap`.
    let child = command
        .spawn()
        .map_err(|error| why_not(program, &launch.cwd, &error))?;
    crashpoint!("runner.exec.after");
    Ok((child.id(), stdout, stderr))
}

/// What the exec of this program in this directory failed of.
fn why_not(program: &str, cwd: &Path, error: &io::Error) -> SpawnError {
    if let Err(error) = enter(cwd) {
        return SpawnError::new(&format!("cannot work in {}", cwd.display()), &error);
    }
    if Errno::from_io_error(error) == Some(NOT_CAGED) {
        return SpawnError {
            message: format!("cannot run {program}: the kernel does not take it into its sandbox"),
            missing: true,
        };
    }
    let of_the_program = [Errno::NOENT, Errno::ACCESS, Errno::NOEXEC, Errno::NOTDIR];
    SpawnError {
        missing: Errno::from_io_error(error).is_some_and(|e| of_the_program.contains(&e)),
        ..SpawnError::new(&format!("cannot run {program}"), error)
    }
}

/// Whether a process of ours could work in this directory.
fn enter(cwd: &Path) -> io::Result<()> {
    if !cwd.metadata()?.is_dir() {
        return Err(Errno::NOTDIR.into());
    }
    Ok(rustix::fs::access(cwd, rustix::fs::Access::EXEC_OK)?)
}

/// What the child is given on its way.
struct Before {
    runner: Pid,
    /// Of its control group.
    entrance: Option<OwnedFd>,
    oom_score: ([u8; 4], usize),
    /// What it may touch; `None`: whatever its user may.
    cage: Option<Cage>,
}

/// What a child that cannot be put into its sandbox fails of; nothing else here
/// does.
const NOT_CAGED: Errno = Errno::NOTRECOVERABLE;

/// The sandbox of what is about to be started. Without it nothing is.
fn cage(sandbox: &Sandbox) -> Result<Cage, SpawnError> {
    let cage = Cage::new(&sandbox.writable, &sandbox.hidden);
    cage.map_err(|error| SpawnError {
        message: format!("not run without its sandbox: {error}"),
        missing: true,
    })
}

/// The agent's score, as text: sooner than whatever ours is.
fn oom_score() -> ([u8; 4], usize) {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj");
    let own = own.ok().and_then(|text| text.trim().parse::<i32>().ok());
    let score = own.unwrap_or(0).saturating_add(OOM_SOONER);
    let text = score.clamp(OOM_LATEST, OOM_FIRST).to_string();
    let mut bytes = [0; 4];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    (bytes, text.len())
}

/// In the child, before the exec.
fn prepare(before: &Before) -> io::Result<()> {
    // First: whatever else it does is then in the group. If it may not enter,
    // the runner sees that.
    if let Some(entrance) = &before.entrance {
        rustix::io::write(entrance, b"0").ok();
    }
    rustix::process::setsid()?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The runner may have died before the line above.
    if rustix::process::getppid() != Some(before.runner) {
        return Err(Errno::SRCH.into());
    }
    for signal in 1..=nix::libc::SIGRTMAX() {
        #[expect(unsafe_code, reason = "ignored signals are inherited over an exec")]
        // SAFETY: the default disposition runs no code of ours. It fails for
        // SIGKILL, SIGSTOP and those that belong to the C library.
        unsafe {
            nix::libc::signal(signal, nix::libc::SIG_DFL);
        }
    }
    SigSet::empty().thread_set_mask()?;
    // Allowed to everybody, but not everywhere: as good as it goes.
    if let Ok(file) = rustix::fs::open(OOM_FILE, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        let (text, length) = &before.oom_score;
        rustix::io::write(file, &text[..*length]).ok();
    }
    // Last: what is above may be forbidden in there.
    match &before.cage {
        Some(cage) => cage.enter().map_err(|_| NOT_CAGED.into()),
        None => Ok(()),
    }
}

/// Our end, which does not block, and the agent's, which does.
fn output_pipe() -> io::Result<(Receiver, OwnedFd)> {
    let (ours, agents) = pipe_with(PipeFlags::CLOEXEC)?;
    // An unprivileged user with many pipes is refused: then it stays as it is.
    fcntl_setpipe_size(&ours, PIPE_SIZE).ok();
    Ok((Receiver::from_owned_fd(ours)?, agents))
}

/// What a look at our children brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reaped {
    /// The status of the agent's main process, if it has ended.
    pub(super) main: Option<Status>,
    /// There is no child any more.
    pub(super) empty: bool,
}

/// Waits for all children that have ended: the agent's main process and, since
/// we are its subreaper, every orphan of its tree.
pub(super) fn reap(main: Option<u32>) -> io::Result<Reaped> {
    let mut reaped = Reaped {
        main: None,
        empty: false,
    };
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                let pid = pid.as_raw_nonzero().get().unsigned_abs();
                if Some(pid) == main {
                    reaped.main = status_of(status).or(reaped.main);
                }
            }
            Ok(None) => return Ok(reaped),
            Err(Errno::CHILD) => {
                reaped.empty = true;
                return Ok(reaped);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn status_of(status: rustix::process::WaitStatus) -> Option<Status> {
    if let Some(code) = status.exit_status() {
        return Some(Status::Code(code));
    }
    let number = status.terminating_signal()?;
    Some(Status::Signal {
        number,
        core: nix::libc::WCOREDUMP(status.as_raw()),
    })
}

/// What the kernel says of the main process and of all that was waited for.
pub(super) fn exit(status: Status, oom_killed: bool) -> Exit {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok();
    let millis = |time: nix::sys::time::TimeVal| {
        let micros = time.tv_sec().saturating_mul(1_000_000) + time.tv_usec();
        micros.max(0).unsigned_abs() / 1000
    };
    Exit {
        status,
        user_cpu: usage.map_or(0, |usage| millis(usage.user_time())),
        system_cpu: usage.map_or(0, |usage| millis(usage.system_time())),
        // The kernel counts in KiB.
        peak_memory: usage.map_or(0, |usage| usage.max_rss().max(0).unsigned_abs() * 1024),
        oom_killed,
    }
}

/// CPU time of all that was waited for, milliseconds.
pub(super) fn reaped_cpu() -> u64 {
    let exit = exit(Status::Code(0), false);
    exit.user_cpu + exit.system_cpu
}
