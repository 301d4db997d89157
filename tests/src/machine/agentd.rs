//! agentd on a machine, where its package would put it.

use std::{fs, path::Path};

use super::Machine;
use crate::program::program;

/// Where units and the like are, below `packaging`, and where they belong.
const PLACES: [(&str, &str); 4] = [
    ("systemd/system", "/usr/lib/systemd/system"),
    ("systemd/user", "/usr/lib/systemd/user"),
    ("sysusers.d", "/usr/lib/sysusers.d"),
    ("tmpfiles.d", "/usr/lib/tmpfiles.d"),
];

impl Machine {
    /// Puts the programs under test and all units on the machine; none is
    /// switched on.
    ///
    /// # Panics
    /// If that cannot be done.
    #[track_caller]
    pub fn install(&self) {
        for name in ["agentd", "agentctl"] {
            self.copy_in(&program(name), &format!("/usr/bin/{name}"));
        }
        let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging");
        for (from, to) in PLACES {
            let files = fs::read_dir(packaging.join(from)).expect("a directory can be read");
            for file in files {
                let file = file.expect("a directory can be read").path();
                let name = file.file_name().and_then(|name| name.to_str());
                let name = name.expect("our files have simple names");
                self.copy_in(&file, &format!("{to}/{name}"));
            }
        }
        // Where the kernel's settings are protected, the kernel's own is seen.
        self.write(
            "/etc/systemd/system/agentd.service.d/boot_id.conf",
            "[Service]\nBindReadOnlyPaths=/run/boot_id:/proc/sys/kernel/random/boot_id\n",
            0o644,
        );
        let script = "systemd-sysusers && systemd-tmpfiles --create agentd.conf &&
                      systemctl daemon-reload";
        drop(self.run("root", script).ok());
    }
}
