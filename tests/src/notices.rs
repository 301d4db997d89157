//! What a daemon says of itself, by sd_notify(3).

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
};

/// What a daemon tells its service manager: here, the test.
#[derive(Debug)]
pub struct Notices {
    socket: UnixDatagram,
    pub(crate) path: PathBuf,
}

impl Notices {
    /// Takes the place of the ones before.
    pub(crate) fn new(path: &Path) -> Self {
        fs::remove_file(path).ok();
        let socket = UnixDatagram::bind(path).expect("a socket can be bound");
        socket
            .set_nonblocking(true)
            .expect("a socket need not block");
        Self {
            socket,
            path: path.to_owned(),
        }
    }

    /// The next notice that has come.
    fn next(&self) -> Option<String> {
        let mut notice = [0; 4096];
        let length = self.socket.recv(&mut notice).ok()?;
        Some(String::from_utf8_lossy(&notice[..length]).into_owned())
    }

    /// The lines of all notices that have come since the last look.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let notices = std::iter::from_fn(|| self.next());
        let lines = notices.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        lines.collect()
    }

    /// A notice has come with this line; those up to it are forgotten.
    #[must_use]
    pub fn has(&self, line: &str) -> bool {
        let mut notices = std::iter::from_fn(|| self.next());
        notices.any(|text| text.lines().any(|one| one == line))
    }
}
