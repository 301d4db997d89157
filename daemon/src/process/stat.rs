//! `/proc/PID/stat` (proc(5)).

use std::{
    fs::{self, File},
    io::{self, Read as _},
    time::Duration,
};

use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

/// What one line of it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: u32,
    pub(super) parent: u32,
    /// Still running, or able to: neither a zombie nor being removed.
    pub(super) alive: bool,
    pub(super) threads: u64,
    /// Clock ticks after boot.
    pub(super) start_ticks: u64,
    /// User and system time, its own and that of the children it waited for;
    /// clock ticks.
    pub(super) cpu_ticks: u64,
    /// Pages.
    pub(super) resident: u64,
}

impl Stat {
    /// The process with this pid; `None` if there is none.
    pub(super) fn read(pid: u32) -> io::Result<Option<Self>> {
        // Longer than any such line: one read takes it all. Runners look at
        // their trees with every heartbeat.
        let mut line = [0; 2048];
        let path = format!("/proc/{pid}/stat");
        let read = File::open(path).and_then(|mut file| file.read(&mut line));
        match read {
            Ok(length) => match Self::parse(&line[..length]) {
                Some(stat) => Ok(Some(stat)),
                None => Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "unknown form of /proc/PID/stat",
                )),
            },
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        // The name may hold spaces, parentheses and any byte: the last
        // parenthesis ends it.
        let close = line.iter().rposition(|byte| *byte == b')')?;
        let pid = line.split(|byte| *byte == b' ').next()?;
        let rest = str::from_utf8(line.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Numbered as in proc(5): the first after the name is field 3.
        let field = |number: usize| fields.get(number - 3).copied();
        let number = |n: usize| field(n)?.parse::<u64>().ok();
        // The times of waited-for children are signed there.
        let ticks = |n: usize| Some(field(n)?.parse::<i64>().ok()?.max(0).unsigned_abs());
        let times = [ticks(14)?, ticks(15)?, ticks(16)?, ticks(17)?];
        Some(Self {
            pid: str::from_utf8(pid).ok()?.parse().ok()?,
            parent: field(4)?.parse().ok()?,
            alive: !matches!(field(3)?, "Z" | "X" | "x"),
            threads: number(20)?,
            start_ticks: number(22)?,
            cpu_ticks: times.into_iter().fold(0, u64::saturating_add),
            resident: number(24)?,
        })
    }
}

/// What this process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    /// CPU time, that of children not included.
    pub cpu: Duration,
    /// Resident memory, bytes.
    pub resident: u64,
    /// Threads.
    pub threads: u64,
    /// Files that are open.
    pub files: u64,
    /// How many may be; none: as many as the system has.
    pub most_files: Option<u64>,
}

/// Looks at this process.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn own() -> io::Result<Own> {
    let stat = Stat::read(std::process::id())?;
    let stat = stat.ok_or(io::ErrorKind::NotFound)?;
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(u64::MAX);
    // Not counting the one by which they are listed.
    let files = fs::read_dir("/proc/self/fd")?.count().saturating_sub(1);
    // The times of the line include those of children.
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(cpu.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(cpu.tv_nsec).unwrap_or(0);
    Ok(Own {
        cpu: Duration::new(seconds, nanos),
        resident: stat.resident.saturating_mul(page),
        threads: stat.threads,
        files: u64::try_from(files).unwrap_or(u64::MAX),
        most_files: getrlimit(Resource::Nofile).current,
    })
}

/// Every process of the machine that we can see.
pub(super) fn all() -> io::Result<Vec<Stat>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) {
            found.extend(Stat::read(pid)?);
        }
    }
    Ok(found)
}

/// Whether this error of a file in `/proc/PID` says that the process is gone.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_skipped() {
        let rest = "S 7 1 1 0 -1 4194560 1 2 3 4 10 20 30 -1 20 0 1 0 5555 1000 42 0";
        let line = format!("12 (a) R 1 (\u{7f}b) {rest}");
        let stat = Stat::parse(line.as_bytes()).unwrap();
        let want = Stat {
            pid: 12,
            parent: 7,
            alive: true,
            threads: 1,
            start_ticks: 5555,
            cpu_ticks: 60,
            resident: 42,
        };
        assert_eq!(stat, want);
        for bad in ["", ")", "12 (a)", "12 (a) S", "x (a) S 7"] {
            assert_eq!(Stat::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
