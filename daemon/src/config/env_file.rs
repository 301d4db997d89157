//! Files of `NAME=value` lines that hold an agent's secrets. Errors never
//! contain a value.

use std::{
    fs::{File, Metadata},
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use super::is_variable;

/// Largest such file, bytes.
const MAX_FILE: u64 = 256 * 1024;

/// A file of variables that cannot be used.
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
    let file = File::open(path)?;
    check_metadata(&file.metadata()?)?;
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(EnvFileError::TooLarge);
    }
    parse(&text)
}

/// Looks whether it is there and private, without reading it.
pub(super) fn check(path: &Path) -> Result<(), EnvFileError> {
    check_metadata(&path.metadata()?)
}

fn check_metadata(metadata: &Metadata) -> Result<(), EnvFileError> {
    if !metadata.is_file() {
        return Err(EnvFileError::NotAFile);
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(EnvFileError::Open { mode });
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
    use super::*;

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
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        std::fs::write(&path, "KEY=secret\n").unwrap();
        let mode = |mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, permissions).unwrap();
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
}
