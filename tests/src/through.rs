//! Daemons that are started in a way of their own: with limits, or with a disk
//! that nobody else sees.

use std::{
    fs,
    path::{Path, PathBuf},
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
