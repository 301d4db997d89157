//! Places where a test has the process die, or the system refuse.
//!
//! Two macros mark them: `failpoint!("room.place")` is an `io::Result<()>`,
//! for where the system may refuse; `crashpoint!("room.place")` can only kill.
//! Without the cargo feature `failpoints` both are nothing: not even the names
//! are in the program.
//!
//! With it, the variable `AGENTD_FAILPOINTS` names a directory, and the daemon passes
//! it on to its runners. In that directory
//!
//! - `plan` has a line `POINT ACTION HIT` for each thing that is to happen;
//!   ACTION is `kill`, `hang` (the thread goes no further) or an error of the system (`ENOSPC`, `EIO`, `EAGAIN`,
//!   `EMFILE`). It is read at every point, so it may change at any time.
//! - a file of the name of each point that was met has a byte for each hit. So
//!   hits are counted over all processes and all their lives, and what was
//!   planned happens once.
//! - `fired` has a line `POINT ACTION HIT PID COMMAND…` for what has happened,
//!   written before it does.
//!
//! Why not the `fail` crate: it cannot kill its process, and it counts anew in
//! every process; both are what the crash torture needs.

#[cfg(feature = "failpoints")]
macro_rules! failpoint {
    ($name:literal) => {
        $crate::failpoint::hit($name)
    };
}

#[cfg(not(feature = "failpoints"))]
macro_rules! failpoint {
    ($name:literal) => {
        Ok::<(), std::io::Error>(())
    };
}

#[cfg(feature = "failpoints")]
macro_rules! crashpoint {
    ($name:literal) => {
        if let Err(refused) = $crate::failpoint::hit($name) {
            unreachable!("{} can only kill: {refused}", $name);
        }
    };
}

#[cfg(not(feature = "failpoints"))]
macro_rules! crashpoint {
    ($name:literal) => {};
}

/// Has a runner meet the same plan as its daemon.
#[cfg(feature = "failpoints")]
macro_rules! pass_failpoints_on {
    ($command:expr) => {
        if let Some(dir) = std::env::var_os($crate::failpoint::VARIABLE) {
            $command.env($crate::failpoint::VARIABLE, dir);
        }
    };
}

#[cfg(not(feature = "failpoints"))]
macro_rules! pass_failpoints_on {
    ($command:expr) => {};
}

#[cfg(feature = "failpoints")]
pub(crate) use self::set::{VARIABLE, hit};

#[cfg(feature = "failpoints")]
mod set {
    use std::{
        env,
        fs::{self, OpenOptions},
        io::{self, Seek as _, Write as _},
        path::{Path, PathBuf},
        sync::OnceLock,
    };

    use rustix::{
        io::Errno,
        process::{Signal, getpid, kill_process},
    };

    /// Names the directory.
    pub(crate) const VARIABLE: &str = "AGENTD_FAILPOINTS";

    static DIR: OnceLock<Option<PathBuf>> = OnceLock::new();

    /// A point is met.
    pub(crate) fn hit(point: &str) -> io::Result<()> {
        let dir = DIR.get_or_init(|| env::var_os(VARIABLE).map(PathBuf::from));
        let Some(dir) = dir else { return Ok(()) };
        match act(dir, point) {
            Ok(None) => Ok(()),
            Ok(Some(refused)) => Err(refused.into()),
            // A test that cannot count must not go on as if it had.
            Err(error) => panic!(
                "the failpoints in {} cannot be used: {error}",
                dir.display()
            ),
        }
    }

    fn act(dir: &Path, point: &str) -> io::Result<Option<Errno>> {
        let hit = count(dir, point)?;
        let plan = match fs::read_to_string(dir.join("plan")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            plan => plan?,
        };
        let wanted = [point, &hit.to_string()];
        let action = plan.lines().find_map(|line| {
            let mut words = line.split(' ');
            let (point, action, hit) = (words.next()?, words.next()?, words.next()?);
            ([point, hit] == wanted).then_some(action)
        });
        let Some(action) = action else {
            return Ok(None);
        };
        note(dir, &format!("{point} {action} {hit}"))?;
        match action {
            "kill" => loop {
                kill_process(getpid(), Signal::KILL)?;
            },
            "hang" => loop {
                std::thread::park();
            },
            "ENOSPC" => Ok(Some(Errno::NOSPC)),
            "EIO" => Ok(Some(Errno::IO)),
            "EAGAIN" => Ok(Some(Errno::AGAIN)),
            "EMFILE" => Ok(Some(Errno::MFILE)),
            other => Err(io::Error::other(format!("no such action: {other}"))),
        }
    }

    /// The number of this hit, from 1 on: what was appended at one place of a
    /// file is nobody else's.
    fn count(dir: &Path, point: &str) -> io::Result<u64> {
        let mut file = append(&dir.join(point))?;
        file.write_all(b".")?;
        file.stream_position()
    }

    fn note(dir: &Path, what: &str) -> io::Result<()> {
        let command: Vec<_> = env::args().collect();
        let pid = std::process::id();
        let line = format!("{what} {pid} {}\n", command.join(" "));
        append(&dir.join("fired"))?.write_all(line.as_bytes())
    }

    fn append(path: &Path) -> io::Result<fs::File> {
        OpenOptions::new().create(true).append(true).open(path)
    }
}
