//! Files that are put in place whole, and files that somebody else may have made.
//!
//! Imports nothing. It blocks.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

/// What a file that git or we have written for one thing is far below, bytes.
pub const SMALL: u64 = 1024 * 1024;

/// Has a file hold these bytes and survive a power cut with them: written beside
/// it, synced, renamed, the directory synced. Whoever reads it finds the old bytes or
/// the new ones. For its owner alone (0600).
///
/// # Errors
/// If any of these fails; the file is then as it was, or the new one is not durable.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_beside(path, bytes)?.put()
}

/// A file that is written and synced, and not yet in its place.
#[derive(Debug)]
#[must_use = "it is to be put in its place"]
pub struct Beside {
    new: PathBuf,
    path: PathBuf,
}

/// The first half of [`replace`].
///
/// # Errors
/// If it cannot be written and synced.
pub fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<Beside> {
    let new = path.with_added_extension("new");
    // A killed writer may have left one.
    remove(&new)?;
    let mut file = make(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let path = path.to_owned();
    Ok(Beside { new, path })
}

impl Beside {
    /// The second half of [`replace`].
    ///
    /// # Errors
    /// If it cannot be renamed, or the directory not be synced.
    pub fn put(self) -> io::Result<()> {
        put(&self.new, &self.path)
    }
}

/// Renames what is whole into its place, and syncs the directory.
///
/// # Errors
/// If either fails.
pub fn put(new: &Path, path: &Path) -> io::Result<()> {
    fs::rename(new, path)?;
    sync_dir_of(path)
}

/// Has what was done to the name of this file survive a power cut.
///
/// # Errors
/// If its directory cannot be opened or synced.
pub fn sync_dir_of(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// Removes a file; that there is none is no error.
///
/// # Errors
/// If it is there and cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes a file (0600) where there must be nothing, not even a link.
///
/// # Errors
/// If something is there, or it cannot be made.
pub fn make(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Opens a file to be read in a place where somebody else may have put anything: a link
/// that leads elsewhere, or a pipe that nobody writes to.
///
/// # Errors
/// If it cannot be opened, or is no regular file of that name.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        )),
    }
}

/// Reads a file as [`open`] opens it, of at most so many bytes.
///
/// # Errors
/// Those of [`open`], and `FileTooLarge`.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn what_is_replaced_is_whole_and_private_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a.b"), dir.path().join("other"));
        fs::write(&other, "precious").unwrap();
        for name in ["a.b", "a.b.new"] {
            symlink(&other, dir.path().join(name)).unwrap();
        }
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read(&path, 3).unwrap(), b"two");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_no_file_of_that_name_or_too_long_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "four").unwrap();
        symlink(at("file"), at("link")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(&at("file"), 4).unwrap(), b"four");
        let too_long = read(&at("file"), 3).unwrap_err();
        assert_eq!(too_long.kind(), io::ErrorKind::FileTooLarge);
        for name in ["link", "pipe", "none"] {
            assert!(read(&at(name), 4).is_err(), "{name}");
        }
        assert!(make(&at("link")).is_err(), "nothing is made through a link");
    }
}
