//! The user's service manager, asked by `systemctl --user`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{
    doctor::Surroundings,
    error::{Error, Kind},
    output::table::one_line,
};

/// A manager that answers.
#[derive(Debug)]
pub(crate) struct Manager {
    systemctl: PathBuf,
}

/// What it knows of a unit; empty and false where it knows none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    /// The file that it goes by.
    pub(crate) file: Option<PathBuf>,
    /// It is started by itself.
    pub(crate) enabled: bool,
    /// `active`, `inactive`, `failed` and others.
    pub(crate) state: String,
    /// Its main process.
    pub(crate) pid: Option<u32>,
    /// A file of it has changed since it was read.
    pub(crate) stale: bool,
}

impl Unit {
    /// It runs, or is about to.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.state.as_str(), "active" | "activating" | "reloading")
    }
}

impl Manager {
    /// The one of this user.
    ///
    /// # Errors
    /// There is none, or it cannot be asked.
    pub(crate) fn of_user(around: &Surroundings) -> Result<Self, Error> {
        let Some(systemctl) = around.find("systemctl") else {
            return Err(Error::new(
                Kind::Unreachable,
                "there is no systemctl on PATH: this machine has no systemd, or hides it",
            )
            .hint("agentctl run starts agentd without it"));
        };
        let user = around.user.as_deref().unwrap_or("$USER");
        if !around.has_runtime_dir {
            return Err(Error::new(
                Kind::Unreachable,
                "XDG_RUNTIME_DIR is not set: this session does not know its service manager",
            )
            .hint(format!(
                "export XDG_RUNTIME_DIR=/run/user/$(id -u); if that is not there: sudo loginctl enable-linger {user}"
            )));
        }
        let manager = Self { systemctl };
        if let Err(why) = manager.call(&["show", "--property=Version"]) {
            return Err(Error::new(
                Kind::Unreachable,
                "the service manager of this user does not answer",
            )
            .because(why.said)
            .hint(format!(
                "sudo loginctl enable-linger {user} starts it; without systemd agentctl run starts agentd by itself"
            )));
        }
        Ok(manager)
    }

    /// Has it do something to its end; what it says.
    ///
    /// # Errors
    /// It refuses, or it did not work.
    pub(crate) fn call(&self, words: &[&str]) -> Result<String, Refused> {
        let refused = |said: String| Refused {
            command: command_line(words),
            said,
        };
        let ended = output(&self.systemctl, words).map_err(|error| refused(error.to_string()))?;
        if ended.status.success() {
            return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
        Err(refused(match said.is_empty() {
            true => ended.status.to_string(),
            false => said,
        }))
    }

    /// How a unit is.
    ///
    /// # Errors
    /// It cannot be asked.
    pub(crate) fn unit(&self, name: &str) -> Result<Unit, Refused> {
        let asked =
            "--property=LoadState,FragmentPath,UnitFileState,ActiveState,MainPID,NeedDaemonReload";
        Ok(read(&self.call(&["show", asked, name])?))
    }
}

/// As a person would type it.
pub(crate) fn command_line(words: &[&str]) -> String {
    format!("systemctl --user {}", words.join(" "))
}

#[expect(
    clippy::disallowed_methods,
    reason = "systemctl is the interface of the service manager that is there everywhere"
)]
fn output(systemctl: &Path, words: &[&str]) -> std::io::Result<Output> {
    Command::new(systemctl)
        .args(["--user", "--no-pager", "--no-ask-password"])
        .args(words)
        .stdin(Stdio::null())
        .output()
}

/// `systemctl show`: `Name=value` lines.
fn read(text: &str) -> Unit {
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let said: BTreeMap<&str, &str> = lines.collect();
    let of = |name: &str| said.get(name).copied().unwrap_or_default();
    let file = of("FragmentPath");
    Unit {
        file: (!file.is_empty()).then(|| PathBuf::from(file)),
        enabled: matches!(of("UnitFileState"), "enabled" | "enabled-runtime"),
        state: of("ActiveState").to_owned(),
        pid: of("MainPID").parse().ok().filter(|pid| *pid != 0),
        stale: of("NeedDaemonReload") == "yes",
    }
}

/// The manager did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{command}: {}", one_line(said))]
pub(crate) struct Refused {
    command: String,
    said: String,
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::new(Kind::Other, "the service manager refuses")
            .because(refused)
            .hint("journalctl --user -u agentd says more; agentd check-config tells whether its configuration is at fault")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemctl_shows_is_read() {
        let text = "MainPID=7\nLoadState=loaded\nActiveState=active\nFragmentPath=/u/agentd.service\nUnitFileState=enabled\nNeedDaemonReload=no\n";
        let unit = read(text);
        assert_eq!((unit.pid, unit.enabled, unit.stale), (Some(7), true, false));
        assert_eq!(unit.file, Some(PathBuf::from("/u/agentd.service")));
        assert!(unit.is_active());
        let none =
            "MainPID=0\nLoadState=not-found\nActiveState=inactive\nFragmentPath=\nUnitFileState=\n";
        let none = read(none);
        assert_eq!(
            (none.pid, none.enabled, none.file.clone()),
            (None, false, None)
        );
        assert!(!none.is_active());
    }
}
