//! One leaf: made, limited, killed, proved empty, removed.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _},
    os::fd::OwnedFd,
    path::PathBuf,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{field, group_of, is_absent, read, write};

/// The period of a limit of CPU time, microseconds.
const PERIOD: u64 = 100_000;

/// The limits of a leaf; what is `None` is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeafLimits {
    /// Memory of the whole tree, bytes; it gets no swap then.
    pub memory: Option<u64>,
    /// Processes and threads at the same time.
    pub pids: Option<u32>,
    /// Thousandths of a CPU.
    pub cpu: Option<u32>,
}

/// The group of one attempt's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf(PathBuf);

impl Leaf {
    /// The leaf at this place, whether it is there or not.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Makes it, empty.
    ///
    /// # Errors
    /// If it cannot be made, is not empty, or cannot be killed as a whole on
    /// this kernel (before 5.14).
    pub fn make(path: PathBuf) -> io::Result<Self> {
        let leaf = Self(path);
        match fs::create_dir(&leaf.0) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let checked = match leaf.is_populated() {
            Ok(true) => Err(io::Error::other("there is a process in it already")),
            Ok(false) if !leaf.0.join("cgroup.kill").exists() => {
                Err(io::Error::other("this kernel cannot kill it as a whole"))
            }
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        match checked {
            Ok(()) => Ok(leaf),
            Err(error) => {
                leaf.remove().ok();
                Err(error)
            }
        }
    }

    /// Sets limits; those that could not be set, each with its name and why.
    #[must_use]
    pub fn limit(&self, limits: LeafLimits) -> Vec<(&'static str, io::Error)> {
        let set = |name, file, value: Option<String>| {
            let failed = write(&self.0.join(file), &value?).err()?;
            Some((name, failed))
        };
        let cpu = limits.cpu.map(|thousandths| {
            let quota = u64::from(thousandths) * PERIOD / 1000;
            format!("{} {PERIOD}", quota.max(1000))
        });
        let memory = limits.memory.map(|bytes| bytes.to_string());
        let without = [
            set("memory", "memory.max", memory),
            set("pids", "pids.max", limits.pids.map(|most| most.to_string())),
            set("cpu", "cpu.max", cpu),
        ];
        if limits.memory.is_some() {
            // Not there without swap; then there is nothing to forbid.
            write(&self.0.join("memory.swap.max"), "0").ok();
        }
        without.into_iter().flatten().collect()
    }

    /// The way in: a process that writes "0" here enters.
    ///
    /// # Errors
    /// If we may not let anybody in.
    pub fn entrance(&self) -> io::Result<OwnedFd> {
        let file = File::options()
            .write(true)
            .open(self.0.join("cgroup.procs"))?;
        Ok(file.into())
    }

    /// Whether this process is in the leaf or below it, dead or alive, as long
    /// as it was not waited for.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn holds(&self, pid: u32) -> io::Result<bool> {
        let group = group_of(&pid.to_string())?.unwrap_or_default();
        let name = self.0.file_name().and_then(|name| name.to_str());
        Ok(name.is_some_and(|name| group.split('/').any(|part| part == name)))
    }

    /// Kills all that is in it or below it at once.
    ///
    /// # Errors
    /// If it is not there, or if this very process is in it.
    pub fn kill(&self) -> io::Result<()> {
        if self.holds(std::process::id())? {
            return Err(io::Error::other("this process is in it, too"));
        }
        write(&self.0.join("cgroup.kill"), "1")
    }

    /// Whether a living process is in it or below it; one that is not there
    /// has none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn is_populated(&self) -> io::Result<bool> {
        match read(&self.0.join("cgroup.events")) {
            Ok(events) => Ok(field(&events, "populated") != Some(0)),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits until nothing lives in it; false if `limit` is over before. Blocks.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn wait_empty(&self, limit: Duration) -> io::Result<bool> {
        let begin = Instant::now();
        let mut events = match File::open(self.0.join("cgroup.events")) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(true),
            Err(error) => return Err(error),
        };
        loop {
            let mut text = String::new();
            events.rewind()?;
            match events.read_to_string(&mut text) {
                Ok(_) if field(&text, "populated") == Some(0) => return Ok(true),
                Ok(_) => {}
                Err(error) if is_absent(&error) => return Ok(true),
                Err(error) => return Err(error),
            }
            let Some(left) = limit.checked_sub(begin.elapsed()) else {
                return Ok(false);
            };
            // The kernel says so when the file has changed since it was read.
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&left))?;
        }
    }

    /// How many processes the kernel has killed in it because memory ran out;
    /// `None` if it does not count them here.
    #[must_use]
    pub fn oom_kills(&self) -> Option<u64> {
        let events = read(&self.0.join("memory.events")).ok()?;
        field(&events, "oom_kill")
    }

    /// Removes it and the groups that were made in it. That it is gone is no
    /// error.
    ///
    /// # Errors
    /// If it is not empty.
    pub fn remove(&self) -> io::Result<()> {
        // Not by recursion: how deep it is was not for us to choose.
        let mut open = vec![self.0.clone()];
        while let Some(group) = open.last().cloned() {
            let before = open.len();
            for entry in fs::read_dir(&group).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    open.push(entry.path());
                }
            }
            if open.len() > before {
                continue;
            }
            match fs::remove_dir(&group) {
                Ok(()) => {}
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(error),
            }
            open.pop();
        }
        Ok(())
    }
}
