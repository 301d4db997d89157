//! Daemons that are started in a way of their own: with limits, or with a disk
//! that nobody else sees.

use std::{
    fs,
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::daemon::TestDaemon;

impl TestDaemon {
    /// Has the next daemon started by this program, which is to become it
    /// (exec): its name, and arguments that come before the daemon's program.
    pub fn start_through<S: AsRef<str>>(&mut self, line: &[S]) {
        self.through = line.iter().map(|word| word.as_ref().to_owned()).collect();
    }

    /// Has the next daemon started after these lines of a shell.
    pub fn start_after(&mut self, script: &str) {
        self.start_through(&["sh", "-c", &format!("{script}\nexec \"$@\""), "sh"]);
    }

    /// Has the next daemons find this in their environment as well.
    pub fn use_variable(&mut self, name: &str, value: &str) {
        let before = ["env".to_owned(), format!("{name}={value}")];
        self.through.splice(..0, before);
    }

    /// Listens in the place of the next daemons, as a service manager does, and
    /// hands that socket over to each.
    ///
    /// # Panics
    /// If it cannot be bound.
    pub fn use_listener(&mut self) {
        let path = self.socket();
        let dir = path.parent().expect("it is in a directory");
        fs::create_dir_all(dir).expect("a directory can be made");
        self.listener = Some(UnixListener::bind(path).expect("a socket can be bound"));
        // The shell's process becomes the daemon's.
        self.start_through(&[
            "sh",
            "-c",
            "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=control exec \"$@\" 3<&0 </dev/null",
            "sh",
        ]);
    }

    /// That socket.
    ///
    /// # Panics
    /// Without [`TestDaemon::use_listener`].
    #[must_use]
    pub fn listener(&self) -> &UnixListener {
        self.listener.as_ref().expect("the test listens")
    }

    /// The standard input of the next daemon.
    pub(crate) fn handed_over(&self) -> Stdio {
        match &self.listener {
            Some(listener) => {
                let copy = listener.try_clone().expect("a descriptor can be copied");
                Stdio::from(OwnedFd::from(copy))
            }
            None => Stdio::null(),
        }
    }

    /// Has the next daemon keep its files on a disk of its own of this size.
    /// Only it and what it starts see that disk; see [`TestDaemon::disk`].
    ///
    /// # Panics
    /// If the directory cannot be made.
    pub fn use_disk(&mut self, mib: u32) {
        let state = self.state();
        self.use_disk_at(&state, mib);
    }

    /// The same of any directory, with what is in it; see [`TestDaemon::inside`].
    ///
    /// # Panics
    /// If the directory cannot be made.
    pub fn use_disk_at(&mut self, dir: &Path, mib: u32) {
        fs::create_dir_all(dir).expect("a directory can be made");
        let mount = format!(
            "there='{0}' && copy=$(mktemp -d) && cp -a \"$there/.\" \"$copy\" &&
             mount -t tmpfs -o size={mib}m,mode=700 tmpfs \"$there\" &&
             cp -a \"$copy/.\" \"$there\" && rm -rf \"$copy\" || exit 99\nexec \"$@\"",
            dir.display()
        );
        // Whoever is not root is it in a namespace of users.
        let how = if nix::unistd::geteuid().is_root() {
            "-m"
        } else {
            "-rm"
        };
        self.start_through(&["unshare", how, "sh", "-c", &mount, "sh"]);
    }

    /// The daemon's directory as the daemon sees it.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.inside(&self.state())
    }

    /// A path as the daemon sees it.
    #[must_use]
    pub fn inside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }
}
