//! Who may do what with the files of tests.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use nix::sys::stat::{Mode, umask};

/// From now on others may read what tests make, and change nothing, whatever
/// whoever runs the tests lets them do: that is part of what is tested.
pub(crate) fn usual_modes() {
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
}

/// Writes a file that only its owner may read, as secrets are kept.
///
/// # Panics
/// If it cannot be written.
pub fn write_private(path: &Path, text: &str) {
    let mut file: File = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .expect("a file can be opened");
    file.write_all(text.as_bytes())
        .expect("a file can be written");
}
