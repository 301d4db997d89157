//! Private files: of `NAME=value` lines that hold an agent's secrets, and of a
//! token. Errors never contain a value.
//!
//! Nobody else may read such a file, nor say what is in it: neither by writing to
//! it nor by putting another one in its place. It may be behind links.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use super::is_variable;

/// Largest such file, bytes.
const MAX_FILE: u64 = 256 * 1024;

/// A private file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvFileError {
    /// It cannot be opened or read.
    #[error("cannot read it: {0}")]
    Io(#[from] io::Error),
    /// A directory or a device.
    #[error("not a regular file")]
    NotAFile,
    /// Others than its owner may use it.
    #[error("its mode is {mode:04o}, so that others can use it; run chmod 600 on it")]
    Open {
        /// Its permission bits.
        mode: u32,
    },
    /// Somebody else can change it.
    #[error("it belongs to uid {uid}, who could change what is in it for uid {own}; run chown on it", own = geteuid())]
    Owner {
        /// Whose it is.
        uid: u32,
    },
    /// Others can put another file in its place.
    #[error("others can put another one in its place: the mode of {dir} is {mode:04o}; run chmod go-w on it", dir = .dir.display())]
    Way {
        /// A directory on the way to it.
        dir: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Somebody else can put another file in its place.
    #[error("{dir}, on the way to it, belongs to uid {uid}, who could put another one in its place", dir = .dir.display())]
    WayOwner {
        /// A directory on the way to it.
        dir: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// No such file is so large.
    #[error("larger than {MAX_FILE} bytes")]
    TooLarge,
    /// A line that is not `NAME=value`.
    #[error("line {line}: expected NAME=value")]
    Line {
        /// From 1.
        line: usize,
    },
}

/// Reads the variables of a private file, in its order.
///
/// Empty lines and lines that begin with `#` are skipped; one pair of quotes
/// around a value is taken off; nothing is expanded.
///
/// # Errors
/// A file that is not there, is not private, or has a line that is none.
pub fn read(path: &Path) -> Result<Vec<(String, String)>, EnvFileError> {
    parse(&read_private(path)?)
}

/// Reads a private file.
///
/// # Errors
/// A file that is not there, is not private, or is too large.
pub fn read_private(path: &Path) -> Result<String, EnvFileError> {
    let file = File::open(path)?;
    // Of what was opened: whatever is in its place by now.
    check_metadata(&file.metadata()?)?;
    check_way(path)?;
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(EnvFileError::TooLarge);
    }
    Ok(text)
}

/// Looks whether it is there and private, without reading it.
pub(super) fn check(path: &Path) -> Result<(), EnvFileError> {
    check_metadata(&path.metadata()?)?;
    check_way(path)
}

/// Whether a user is one who may say what agents are given.
fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

/// Looks at the directories in which the file, or a link to it, has its name.
fn check_way(path: &Path) -> Result<(), EnvFileError> {
    let target = fs::canonicalize(path)?;
    for dir in path.ancestors().skip(1).chain(target.ancestors().skip(1)) {
        let meta = dir.metadata()?;
        let mode = meta.mode() & 0o7777;
        // With the sticky bit nobody replaces what is another's.
        if mode & 0o022 != 0 && mode & 0o1000 == 0 {
            let dir = dir.to_owned();
            return Err(EnvFileError::Way { dir, mode });
        }
        if !is_trusted(meta.uid()) {
            return Err(EnvFileError::WayOwner {
                dir: dir.to_owned(),
                uid: meta.uid(),
            });
        }
    }
    Ok(())
}

fn check_metadata(metadata: &Metadata) -> Result<(), EnvFileError> {
    if !metadata.is_file() {
        return Err(EnvFileError::NotAFile);
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(EnvFileError::Open { mode });
    }
    if !is_trusted(metadata.uid()) {
        let uid = metadata.uid();
        return Err(EnvFileError::Owner { uid });
    }
    Ok(())
}

pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, EnvFileError> {
    let mut variables = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let pair = trimmed.split_once('=');
        let (name, value) = pair
            .filter(|(name, value)| is_variable(name) && !value.contains('\0'))
            .ok_or(EnvFileError::Line { line: index + 1 })?;
        variables.push((name.to_owned(), unquote(value).to_owned()));
    }
    Ok(variables)
}

fn unquote(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use tempfile::TempDir;

    use super::*;

    /// Nobody else may write there, whatever the umask lets them do.
    fn private_dir() -> TempDir {
        let mut dir = tempfile::Builder::new();
        let dir = dir.permissions(fs::Permissions::from_mode(0o700));
        dir.tempdir().unwrap()
    }

    #[test]
    fn lines_are_names_and_values() {
        let text = "# keys\n\nA=1\nB = 2\n";
        assert!(matches!(parse(text), Err(EnvFileError::Line { line: 4 })));
        let pairs = parse("A=1\nB=\"x y\"\nC='\nD=a=b\nE=\n").unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(
            pairs,
            [
                ("A", "1"),
                ("B", "x y"),
                ("C", "'"),
                ("D", "a=b"),
                ("E", "")
            ]
        );
    }

    #[test]
    fn a_file_for_others_is_refused() {
        let dir = private_dir();
        let path = dir.path().join("env");
        fs::write(&path, "KEY=secret\n").unwrap();
        let mode = |mode| {
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(&path, permissions).unwrap();
        };
        mode(0o640);
        assert!(matches!(
            read(&path),
            Err(EnvFileError::Open { mode: 0o640 })
        ));
        mode(0o600);
        assert_eq!(read(&path).unwrap(), [("KEY".into(), "secret".into())]);
        assert!(matches!(read(dir.path()), Err(EnvFileError::NotAFile)));
    }

    #[test]
    fn nobody_else_can_put_another_one_in_its_place() {
        let top = private_dir();
        let dir = |name: &str, mode| {
            let dir = top.path().join(name);
            fs::create_dir_all(&dir).unwrap();
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
            dir
        };
        let private = |file: PathBuf| {
            fs::write(&file, "KEY=secret\n").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            file
        };
        let closed = private(dir("closed", 0o755).join("env"));
        assert!(read(&closed).is_ok() && check(&closed).is_ok());
        let sticky = private(dir("sticky", 0o1777).join("env"));
        assert!(read(&sticky).is_ok());
        let open = dir("open", 0o775);
        let replaceable = private(open.join("env"));
        // A link to a good file in a bad place, and the other way round.
        let link_there = open.join("link");
        symlink(&closed, &link_there).unwrap();
        let link_here = dir("closed", 0o755).join("link");
        symlink(&replaceable, &link_here).unwrap();
        let inner = private(dir("open/inner", 0o700).join("env"));
        for file in [&replaceable, &link_there, &link_here, &inner] {
            let refused = read(file).unwrap_err();
            let way =
                matches!(&refused, EnvFileError::Way { dir, mode: 0o775 } if dir.ends_with("open"));
            assert!(way && check(file).is_err(), "{}: {refused}", file.display());
        }
        let good = dir("closed", 0o755).join("good");
        symlink("env", &good).unwrap();
        assert_eq!(read(&good).unwrap().len(), 1);
    }

    #[test]
    fn nobody_elses_file_is_used() {
        if !geteuid().is_root() {
            // Only root can give files to others.
            return;
        }
        let top = private_dir();
        let (dir, file) = (top.path().join("theirs"), top.path().join("theirs/env"));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&file, "KEY=theirs\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&file, Some(12345), None).unwrap();
        assert!(matches!(
            read(&file),
            Err(EnvFileError::Owner { uid: 12345 })
        ));
        chown(&file, Some(0), None).unwrap();
        chown(&dir, Some(12345), None).unwrap();
        assert!(matches!(
            read(&file),
            Err(EnvFileError::WayOwner { uid: 12345, .. })
        ));
    }
}
