//! What a daemon says of itself, by sd_notify(3).

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
};

/// What a daemon tells its service manager: here, the test.
#[derive(Debug)]
pub(crate) struct Notices {
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

    /// A notice has come with this line; the ones before it are forgotten.
    pub(crate) fn has(&self, line: &str) -> bool {
        let mut notice = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut notice) {
            let text = String::from_utf8_lossy(&notice[..length]);
            if text.lines().any(|l| l == line) {
                return true;
            }
        }
        false
    }
}
