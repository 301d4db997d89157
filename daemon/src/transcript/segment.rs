//! The segments of a transcript's directory.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// Digits of a segment's name: every `u64` fits.
const DIGITS: usize = 20;

/// The file of the segment that begins at `start`.
pub(super) fn path(dir: &Path, start: u64) -> PathBuf {
    dir.join(format!("{start:020}.log"))
}

/// Where the directory's segments begin, ascending; empty if there is no
/// directory. Other files are not looked at.
pub(super) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut starts = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".log"));
        let start: Option<u64> = digits
            .filter(|d| d.len() == DIGITS && d.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|d| d.parse().ok())
            // Leaves room for sums; no transcript comes near.
            .filter(|start| *start <= u64::MAX / 2);
        starts.extend(start);
    }
    starts.sort_unstable();
    Ok(starts)
}

/// Makes the directory, private to its owner; its parent must be there.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
