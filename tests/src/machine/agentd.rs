//! agentd on a machine, where its package would put it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::Machine;
use crate::program::program;

/// Where units and the like are, below `packaging`, and where they belong.
const PLACES: [(&str, &str); 4] = [
    ("systemd/system", "/usr/lib/systemd/system"),
    ("systemd/user", "/usr/lib/systemd/user"),
    ("sysusers.d", "/usr/lib/sysusers.d"),
    ("tmpfiles.d", "/usr/lib/tmpfiles.d"),
];

/// What is to be done once all files are there.
pub(super) const INSTALLED: &str =
    "systemd-sysusers && systemd-tmpfiles --create agentd.conf && systemctl daemon-reload";

/// The programs under test and all units: where they are, and where they belong.
pub(super) fn files() -> Vec<(PathBuf, String)> {
    let programs = ["agentd", "agentctl"].map(|name| (program(name), format!("/usr/bin/{name}")));
    let mut files = programs.to_vec();
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging");
    for (from, to) in PLACES {
        let found = fs::read_dir(packaging.join(from)).expect("a directory can be read");
        for file in found {
            let file = file.expect("a directory can be read").path();
            let name = file.file_name().and_then(|name| name.to_str());
            let name = name.expect("our files have simple names");
            let to = format!("{to}/{name}");
            files.push((file, to));
        }
    }
    files
}

impl Machine {
    /// Puts the programs under test and all units on the machine; none is
    /// switched on.
    ///
    /// # Panics
    /// If that cannot be done.
    #[track_caller]
    pub fn install(&self) {
        for (from, to) in files() {
            self.copy_in(&from, &to);
        }
        // Where the kernel's settings are protected, the kernel's own is seen.
        self.write(
            "/etc/systemd/system/agentd.service.d/boot_id.conf",
            "[Service]\nBindReadOnlyPaths=/run/boot_id:/proc/sys/kernel/random/boot_id\n",
            0o644,
        );
        drop(self.run("root", INSTALLED).ok());
    }
}
