//! Processes seen from outside: no word of the daemon is believed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A living process that belongs to a test's daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// Its number.
    pub pid: u32,
    /// The attempt in its mark, for example "42.1"; empty for a runner.
    pub attempt: String,
    /// Its command line.
    pub line: String,
}

/// The living processes of agents whose environment names this socket.
pub(crate) fn of_socket(socket: &Path) -> Vec<Marked> {
    let socket = format!("AGENTD_SOCKET={}", socket.display());
    all()
        .filter_map(|pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
            let mut entries = environ.split(|byte| *byte == 0);
            if !entries.clone().any(|entry| entry == socket.as_bytes()) {
                return None;
            }
            let mark = entries.find_map(|entry| entry.strip_prefix(b"AGENTD_ATTEMPT="))?;
            let mark = String::from_utf8_lossy(mark).into_owned();
            Some(Marked {
                pid,
                attempt: mark.split(':').next().unwrap_or_default().to_owned(),
                line: line(pid)?,
            })
        })
        .collect()
}

/// The living runners of attempts in this state directory.
pub(crate) fn runners_of(state: &Path) -> Vec<Marked> {
    let state = state.to_string_lossy().into_owned();
    all()
        .filter_map(|pid| {
            let line = line(pid)?;
            let ours = line.contains(" runner ") && line.contains(&state);
            ours.then(|| Marked {
                pid,
                attempt: String::new(),
                line,
            })
        })
        .collect()
}

/// Every process that is not dead.
fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| exists(*pid))
}

/// Whether the process lives; one that is dead and was not waited for does not.
#[must_use]
pub fn exists(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
    !matches!(state, Some(Some('Z' | 'X')))
}

fn line(pid: u32) -> Option<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(&line).replace('\0', " "))
}

/// Sends SIGKILL to one process.
///
/// # Panics
/// If there is none.
pub fn kill_pid(pid: u32) {
    let pid = i32::try_from(pid).expect("the kernel counts pids in an i32");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the process is there and ours");
}

/// The directory of the control group (version 2) in which a process is; `None`
/// if there are no such groups, or the process is gone.
#[must_use]
pub fn group_of(pid: u32) -> Option<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mut mounts = mounts.lines().map(|line| line.split(' '));
    let mount = mounts.find_map(|mut mount| {
        let point = mount.nth(1)?;
        (mount.next() == Some("cgroup2")).then_some(point)
    })?;
    Some(Path::new(mount).join(group))
}

/// The most memory that the process had at once, bytes; `None` if it is gone.
#[must_use]
pub fn peak_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(PathBuf::from(format!("/proc/{pid}/status"))).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
