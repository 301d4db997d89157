//! Git repositories for agents to work in.

use std::path::{Path, PathBuf};

use crate::program::command;

/// A repository with one commit.
#[derive(Debug)]
pub struct Repo {
    path: PathBuf,
    home: PathBuf,
}

impl Repo {
    /// A repository with a commit on `main` that holds the file `README`.
    /// `home` gets a git configuration with a name to commit by.
    ///
    /// # Panics
    /// If git cannot do it.
    #[must_use]
    pub fn new(path: &Path, home: &Path) -> Self {
        let repo = Self::unborn(path, home);
        std::fs::write(repo.path.join("README"), "hello\n").expect("a file can be written");
        repo.git(&["add", "README"]);
        repo.git(&["commit", "-q", "-m", "first"]);
        repo
    }

    /// A repository without a commit.
    ///
    /// # Panics
    /// If git cannot make it.
    #[must_use]
    pub fn unborn(path: &Path, home: &Path) -> Self {
        std::fs::create_dir_all(path).expect("a directory can be made");
        let identity = "[user]\n\tname = Ann\n\temail = ann@example.org\n";
        std::fs::write(home.join(".gitconfig"), identity).expect("a file can be written");
        let repo = Self {
            path: path.canonicalize().expect("it was just made"),
            home: home.to_owned(),
        };
        repo.git(&["init", "-q", "-b", "main"]);
        repo
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is, for a command line.
    ///
    /// # Panics
    /// Never: paths of tests are text.
    #[must_use]
    pub fn arg(&self) -> &str {
        self.path.to_str().expect("paths of tests are text")
    }

    /// Runs git in it; what it printed.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        let output = command(Path::new("git"), &self.home)
            .args(args)
            .current_dir(&self.path)
            .output()
            .expect("git can be started");
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("git prints text")
    }
}
