//! What `--fix` does: closes, moves aside, and has the store's indexes made
//! anew. Each can be undone.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::{programs, shell_word};

/// One thing that can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mend {
    /// Takes from others what they may do with a file or directory of ours.
    Close {
        /// Which.
        path: PathBuf,
        /// As `chmod` takes it.
        mode: u32,
    },
    /// Moves a directory that nobody uses.
    Aside {
        /// Where it is.
        from: PathBuf,
        /// Where nothing is yet.
        to: PathBuf,
    },
    /// Has a daemon that does not run make the indexes of its store anew, after
    /// it has copied it.
    Store {
        /// agentd.
        program: PathBuf,
    },
}

impl Mend {
    /// The same for a person to type.
    pub(crate) fn command(&self) -> String {
        let word = |path: &Path| shell_word(&path.to_string_lossy());
        match self {
            Self::Close { path, mode } => format!("chmod {mode:04o} {}", word(path)),
            Self::Aside { from, to } => {
                let below = to.parent().unwrap_or(to);
                format!("mkdir -p {} && mv {} {}", word(below), word(from), word(to))
            }
            Self::Store { program } => format!("{} check-store --fix", word(program)),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Why nothing, or not all, was done.
    pub(crate) fn apply(&self) -> io::Result<()> {
        match self {
            Self::Close { path, mode } => {
                own(path)?;
                fs::set_permissions(path, Permissions::from_mode(*mode))
            }
            Self::Aside { from, to } => {
                own(from)?;
                if let Some(below) = to.parent() {
                    DirBuilder::new()
                        .recursive(true)
                        .mode(0o700)
                        .create(below)?;
                }
                if fs::symlink_metadata(to).is_ok() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                fs::rename(from, to)
            }
            Self::Store { program } => {
                let (good, said) = programs::run(program, &["check-store", "--fix"])?;
                if good {
                    Ok(())
                } else {
                    Err(io::Error::other(said.trim().replace('\n', "; ")))
                }
            }
        }
    }
}

/// Root is not led by a link of somebody else's to what is not theirs.
fn own(path: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_symlink() || meta.uid() != nix::unistd::geteuid().as_raw() {
        let why = "it does not belong to this user: run agentctl doctor --fix as its owner";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_open_is_closed_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("a b");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
        let close = Mend::Close {
            path: open.clone(),
            mode: 0o700,
        };
        assert!(close.command().starts_with("chmod 0700 '/"));
        close.apply().unwrap();
        assert_eq!(fs::metadata(&open).unwrap().mode() & 0o7777, 0o700);

        let to = dir.path().join("kept/a");
        let aside = Mend::Aside {
            from: open.clone(),
            to: to.clone(),
        };
        aside.apply().unwrap();
        assert!(to.is_dir() && !open.exists());
        fs::create_dir(&open).unwrap();
        let error = aside.apply().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(open.is_dir());

        let link = dir.path().join("link");
        symlink(&to, &link).unwrap();
        let through = Mend::Close {
            path: link,
            mode: 0o777,
        };
        assert!(through.apply().is_err());
        assert_eq!(fs::metadata(&to).unwrap().mode() & 0o7777, 0o700);
    }
}
