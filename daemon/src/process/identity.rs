//! Names that no other process ever has, and a hold on the process so named.

use std::{fs, io, os::fd::OwnedFd};

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::stat::Stat;
use crate::task::attempt::ProcessIdentity;

/// The name of this boot of the machine.
///
/// # Errors
/// If the kernel does not tell it.
pub fn boot_id() -> io::Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(id.trim_end().to_owned())
}

/// The name of the process that has this pid now; `None` if there is none or
/// it is dead.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn identity(pid: u32) -> io::Result<Option<ProcessIdentity>> {
    let Some(stat) = Stat::read(pid)?.filter(|stat| stat.alive) else {
        return Ok(None);
    };
    Ok(Some(ProcessIdentity {
        pid,
        start_ticks: stat.start_ticks,
        boot_id: boot_id()?,
    }))
}

/// The name of a child of ours that was not waited for yet, dead or alive.
///
/// # Errors
/// If `/proc` cannot be read or there is no such child.
pub fn identity_of_child(pid: u32) -> io::Result<ProcessIdentity> {
    let stat = Stat::read(pid)?.ok_or(io::ErrorKind::NotFound)?;
    Ok(ProcessIdentity {
        pid,
        start_ticks: stat.start_ticks,
        boot_id: boot_id()?,
    })
}

/// Whether this very process lives.
///
/// # Errors
/// If `/proc` cannot be read; the answer is then unknown.
pub fn is_alive(process: &ProcessIdentity) -> io::Result<bool> {
    Ok(identity(process.pid)?.as_ref() == Some(process))
}

/// A hold on one process: its pid may be given out again, this still means it.
#[derive(Debug)]
pub struct Pinned(OwnedFd);

impl Pinned {
    /// Takes hold of this very process; `None` if it is dead.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn open(process: &ProcessIdentity) -> io::Result<Option<Self>> {
        if boot_id()? != process.boot_id {
            return Ok(None);
        }
        Self::of(process.pid, process.start_ticks)
    }

    /// As [`Pinned::open`], for a process of this boot.
    pub(super) fn of(pid: u32, start_ticks: u64) -> io::Result<Option<Self>> {
        let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        let held = match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(fd) => Self(fd),
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Looked at after it was opened: if the name fits now, it is the one.
        let same = Stat::read(pid)?.is_some_and(|s| s.alive && s.start_ticks == start_ticks);
        Ok(same.then_some(held))
    }

    /// Sends a signal. That the process is dead by now is no error.
    ///
    /// # Errors
    /// If the signal may not be sent.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.0, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The descriptor: it is readable once the process is dead.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.0
    }
}

/// The descriptor: it is readable once the process is dead.
impl From<Pinned> for OwnedFd {
    fn from(pinned: Pinned) -> Self {
        pinned.0
    }
}
