//! Makes a supervisor out of a fresh process.

use std::{io, path::Path};

use nix::sys::signal::{SigHandler, Signal, signal};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use super::eviction;
use crate::{
    process,
    spool::{AttemptDir, FormatError, Launch},
    task::attempt::ProcessIdentity,
};

/// Whoever wants to end the agent tells the daemon; these would end the runner
/// and with it the agent. For those that a service manager means, see
/// [`eviction`].
const IGNORED: [Signal; 8] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGPIPE,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGXFSZ,
];

/// Why this process cannot supervise.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("cannot take over the attempt's lock: {0}")]
    Lock(io::Error),
    #[error("cannot use the launch file: {0}")]
    Launch(FormatError),
    #[error("{what}: {cause}")]
    System {
        what: &'static str,
        cause: io::Error,
    },
}

impl SetupError {
    pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::System { what, cause }
    }
}

/// A process that is ready to supervise.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) dir: AttemptDir,
    pub(super) launch: Launch,
    pub(super) identity: ProcessIdentity,
}

pub(super) fn prepare(dir: &Path) -> Result<Ready, SetupError> {
    ignore_signals().map_err(SetupError::system("cannot ignore signals"))?;
    eviction::hold().map_err(SetupError::system("cannot hold signals"))?;
    let dir = std::path::absolute(dir).map_err(SetupError::system("cannot find the directory"))?;
    let dir = AttemptDir::at(dir);
    let lock = dir.adopt_lock(io::stdin()).map_err(SetupError::Lock)?;
    let launch = dir.read_launch().map_err(SetupError::Launch)?;
    if let Some(files) = launch.open_files {
        limit_open_files(files);
    }
    detach().map_err(SetupError::system("cannot detach from the daemon"))?;
    let identity = process::identity(std::process::id())
        .and_then(|found| found.ok_or_else(|| io::ErrorKind::NotFound.into()))
        .map_err(SetupError::system("cannot see the own process"))?;
    // Only of use if we never come to register: a full disk is no reason to
    // run nothing.
    let signed = failpoint!("runner.sign").and_then(|()| lock.sign(&identity));
    if let Err(error) = signed {
        super::log("cannot sign the lock", &error);
    }
    // Never closed: the kernel frees it when the process is gone, not before.
    std::mem::forget(lock);
    Ok(Ready {
        dir,
        launch,
        identity,
    })
}

/// The daemon's own limit is higher than programs expect: some of them look
/// at every file that they could have open.
fn limit_open_files(files: u64) {
    let limit = getrlimit(Resource::Nofile);
    let current = Some(files);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current, ..limit }) {
        super::log("cannot limit open files", &error);
    }
}

fn ignore_signals() -> io::Result<()> {
    for number in IGNORED {
        #[expect(unsafe_code, reason = "the runner outlives what ends the daemon")]
        // SAFETY: ignoring a signal runs no code.
        unsafe { signal(number, SigHandler::SigIgn) }?;
    }
    Ok(())
}

/// A session of its own, nothing of the daemon's as input or working
/// directory, and every orphan of the agent's tree as its child.
fn detach() -> io::Result<()> {
    // It was spawned as the leader of a process group, so that no Ctrl-C meets
    // it before it ignores signals; and a leader cannot have a session of its
    // own. So it leaves its group first, for the daemon's.
    if let Some(parent) = rustix::process::getppid()
        && let Ok(group) = rustix::process::getpgid(Some(parent))
    {
        rustix::process::setpgid(None, Some(group)).ok();
    }
    match rustix::process::setsid() {
        // Still the leader: the daemon has died. A group of its own must do.
        Ok(_) | Err(Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(null)?;
    rustix::process::chdir("/")?;
    nix::sys::prctl::set_child_subreaper(true)?;
    // It was started as /proc/self/exe, and would be called "exe".
    nix::sys::prctl::set_name(c"agentd-runner")?;
    Ok(())
}
