//! Something that an agent waits at until the test lets it go on.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use nix::{libc::O_NONBLOCK, sys::stat::Mode, unistd::mkfifo};

use crate::wait::wait_for;

/// A named pipe. An agent that reads a line of it, for example with
/// `read _ <PATH` in a shell, waits until the test writes one.
#[derive(Debug)]
pub struct Gate {
    path: PathBuf,
}

impl Gate {
    /// A gate at this place.
    ///
    /// # Panics
    /// If the pipe cannot be made.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe can be made");
        Self {
            path: path.to_owned(),
        }
    }

    /// Where it is.
    ///
    /// # Panics
    /// Never: paths of tests are text.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.to_str().expect("paths of tests are text")
    }

    /// Waits until somebody waits at the gate; gives the way to it. Who waits
    /// goes on when a line was written.
    ///
    /// # Panics
    /// If nobody comes.
    #[must_use]
    pub fn reached(&self) -> File {
        wait_for("somebody waits at the gate", || {
            // Refused while nobody has the other end open.
            OpenOptions::new()
                .write(true)
                .custom_flags(O_NONBLOCK)
                .open(&self.path)
                .ok()
        })
    }

    /// Lets one who waits, or comes, go on.
    ///
    /// # Panics
    /// If nobody comes.
    pub fn open(&self) {
        writeln!(self.reached()).expect("a reader waits");
    }
}
