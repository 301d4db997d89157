//! What is wrong between agentctl and its daemon, looked at from this side: so
//! that it can be told when no daemon runs, too.
//!
//! What a running daemon sees of itself it answers to `Diagnose`; the rest is
//! files and links that every user can look at. `mend` does what can be done
//! without asking, and nothing else: it closes what is open to others, and moves
//! aside what nobody uses. It removes nothing.

pub(crate) mod agents;
pub(crate) mod daemon;
pub(crate) mod mend;
pub(crate) mod modes;
pub(crate) mod programs;
pub(crate) mod units;

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use agentd_proto::v1;
use serde::Serialize;

use self::mend::Mend;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// It was looked at and is as it should be.
    Ok,
    /// It works; something could be better.
    Note,
    /// Something does not work, or will not for long.
    Warning,
    /// Tasks cannot be run as they should be.
    Error,
}

impl Severity {
    /// The word for people and scripts.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// Something has to be done about it.
    pub(crate) fn is_wrong(self) -> bool {
        self >= Self::Warning
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// One word: what it is about.
    pub(crate) area: String,
    pub(crate) severity: Severity,
    /// One line each; the last two may be empty.
    pub(crate) what: String,
    pub(crate) why: String,
    /// The command that mends it.
    pub(crate) fix: String,
    /// What `--fix` does about it.
    pub(crate) mend: Option<Mend>,
}

impl Finding {
    pub(crate) fn new(area: &str, severity: Severity, what: impl Into<String>) -> Self {
        Self {
            area: area.to_owned(),
            severity,
            what: what.into(),
            why: String::new(),
            fix: String::new(),
            mend: None,
        }
    }

    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    pub(crate) fn fix(mut self, command: impl Into<String>) -> Self {
        self.fix = command.into();
        self
    }
}

/// What the daemon has found. It may be newer: what it calls a severity that is
/// not known here is no reason to be silent about it.
impl From<v1::Finding> for Finding {
    fn from(told: v1::Finding) -> Self {
        let severity = match told.severity() {
            v1::Severity::Good => Severity::Ok,
            v1::Severity::Note => Severity::Note,
            v1::Severity::Warning | v1::Severity::Unspecified => Severity::Warning,
            v1::Severity::Error => Severity::Error,
        };
        let aside = told.aside.map(|aside| Mend::Aside {
            from: aside.from.into(),
            to: aside.to.into(),
        });
        Self {
            area: told.area,
            severity,
            what: told.what,
            why: told.why,
            fix: told.fix,
            mend: aside,
        }
    }
}

/// What is around agentctl; a value, so that tests need not change the
/// machine's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// `PATH`.
    pub(crate) path: Option<OsString>,
    /// `XDG_CONFIG_HOME`, else `~/.config`.
    pub(crate) config_home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR` is set.
    pub(crate) has_runtime_dir: bool,
    /// The user's name.
    pub(crate) user: Option<String>,
    /// The root of the file system in which the service manager's files are.
    pub(crate) root: PathBuf,
    /// This program.
    pub(crate) own: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        let get = |name| env::var_os(name).filter(|value| !value.is_empty());
        let home = || get("HOME").map(|home| Path::new(&home).join(".config"));
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid());
        Self {
            path: get("PATH"),
            config_home: get("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home),
            has_runtime_dir: get("XDG_RUNTIME_DIR").is_some(),
            user: user.ok().flatten().map(|user| user.name),
            root: PathBuf::from("/"),
            own: env::current_exe().ok(),
        }
    }

    /// The file of a program that this process would run.
    pub(crate) fn find(&self, program: &str) -> Option<PathBuf> {
        let path = self.path.as_deref()?;
        let dirs = env::split_paths(path).filter(|dir| dir.is_absolute());
        dirs.map(|dir| dir.join(program))
            .find(|file| crate::autostart::is_executable(file))
    }
}

/// A word for a shell, quoted if need be.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
