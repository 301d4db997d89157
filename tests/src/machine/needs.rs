//! What has to be there before a machine can be made.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::unistd::Uid;

/// A file of each package that a machine needs.
const FILES: [(&str, &str); 6] = [
    ("/usr/bin/unshare", "util-linux"),
    ("/usr/bin/nsenter", "util-linux"),
    ("/lib/systemd/systemd", "systemd"),
    ("/usr/bin/dbus-daemon", "dbus"),
    ("/usr/lib/systemd/user/dbus.socket", "dbus-user-session"),
    ("/usr/share/pam-configs/systemd", "libpam-systemd"),
];

/// Fails, and says what is to be done, unless a machine can be made here.
#[track_caller]
pub(super) fn check() {
    assert!(
        Uid::effective().is_root(),
        "a machine of its own needs root: sudo -E cargo test …"
    );
    let missing = FILES.iter().filter(|(file, _)| !Path::new(file).exists());
    let mut missing: Vec<_> = missing.map(|(_, package)| *package).collect();
    missing.dedup();
    assert!(
        missing.is_empty(),
        "a machine of its own needs packages: apt-get install --no-install-recommends {}",
        missing.join(" ")
    );
}

/// Where this machine has its control groups of version 2.
#[track_caller]
pub(super) fn groups() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("there is a table of mounts");
    let mut mounts = mounts.lines().map(|line| line.split(' '));
    let place = mounts.find_map(|mut mount| {
        let place = mount.nth(1)?;
        (mount.next() == Some("cgroup2")).then(|| PathBuf::from(place))
    });
    place.expect("a machine of its own needs control groups of version 2 (mount -t cgroup2)")
}
