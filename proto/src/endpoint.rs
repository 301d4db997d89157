//! Where the daemon's socket is.
//!
//! A client tries, in this order: what the user named (`--socket`), the
//! environment's `AGENTD_SOCKET`, the per-user socket, the system socket.
//! The daemon listens on the per-user one unless its service manager gave it a
//! runtime directory.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

/// The socket's file name inside the runtime directory.
pub const SOCKET_NAME: &str = "agentd.sock";

/// The socket of a daemon that runs as a system service.
pub const SYSTEM_SOCKET: &str = "/run/agentd/agentd.sock";

/// Longest path a Unix socket address can hold on Linux, bytes without the
/// final NUL (`sun_path` in unix(7)).
pub const MAX_SOCKET_PATH: usize = 107;

/// The environment that the rule looks at; a value, so that tests need not
/// change the process's own.
#[derive(Debug, Default, Clone)]
pub struct Environment {
    /// `AGENTD_SOCKET`.
    pub socket: Option<OsString>,
    /// `RUNTIME_DIRECTORY`, set by systemd from `RuntimeDirectory=`.
    pub runtime_directory: Option<OsString>,
    /// `XDG_RUNTIME_DIR`, else `/run/user/UID` if there is one: cron, su and
    /// sudo do not set the variable, and the user's daemon is there all the same.
    pub xdg_runtime_dir: Option<OsString>,
    /// `XDG_STATE_HOME`.
    pub xdg_state_home: Option<OsString>,
    /// `HOME`.
    pub home: Option<OsString>,
    /// The effective user id is 0.
    pub root: bool,
}

impl Environment {
    /// Reads the process's own environment. Empty variables count as unset.
    /// Looks for the user's runtime directory.
    #[must_use]
    pub fn of_process() -> Self {
        let get = |name| env::var_os(name).filter(|v| !v.is_empty());
        let user = nix::unistd::geteuid();
        let runtime = || users_runtime_dir(Path::new("/run/user"), user.as_raw());
        Self {
            socket: get("AGENTD_SOCKET"),
            runtime_directory: get("RUNTIME_DIRECTORY"),
            xdg_runtime_dir: get("XDG_RUNTIME_DIR").or_else(runtime),
            xdg_state_home: get("XDG_STATE_HOME"),
            home: get("HOME"),
            root: user.is_root(),
        }
    }

    /// The directory for the daemon's files, if the environment names one:
    /// `$XDG_STATE_HOME/agentd`, else `~/.local/state/agentd`. A path that is
    /// not absolute counts as unset, here and below, as the specification of
    /// these variables wants it.
    #[must_use]
    pub fn state_dir(&self) -> Option<PathBuf> {
        let state = absolute(self.xdg_state_home.as_deref());
        let home = || absolute(self.home.as_deref());
        let base = state.or_else(|| Some(home()?.join(".local/state")))?;
        Some(base.join("agentd"))
    }

    /// The directory in which a daemon of this user makes its socket.
    ///
    /// `$RUNTIME_DIRECTORY` (the first, if the unit names several), else
    /// `$XDG_RUNTIME_DIR/agentd`, else `/run/agentd` for root, else `run` in
    /// the state directory: never a predictable name in `/tmp`.
    #[must_use]
    pub fn runtime_dir(&self) -> Option<PathBuf> {
        let given = self.runtime_directory.as_deref().unwrap_or_default();
        let first = given.as_bytes().split(|byte| *byte == b':').next();
        absolute(first.map(OsStr::from_bytes)).or_else(|| self.user_runtime_dir())
    }

    fn user_runtime_dir(&self) -> Option<PathBuf> {
        if let Some(xdg) = absolute(self.xdg_runtime_dir.as_deref()) {
            return Some(xdg.join("agentd"));
        }
        if self.root {
            return Path::new(SYSTEM_SOCKET).parent().map(Path::to_path_buf);
        }
        self.state_dir().map(|state| state.join("run"))
    }

    /// Where a client looks when the user named no socket, best first.
    #[must_use]
    pub fn candidates(&self) -> Vec<PathBuf> {
        if let Some(named) = &self.socket {
            return vec![PathBuf::from(named)];
        }
        let mut paths = Vec::new();
        if let Some(dir) = self.user_runtime_dir() {
            paths.push(dir.join(SOCKET_NAME));
        }
        let system = PathBuf::from(SYSTEM_SOCKET);
        if !paths.contains(&system) {
            paths.push(system);
        }
        paths
    }
}

/// Where a login session of this user has its runtime directory, by the rule of
/// systemd; not one that somebody else has made.
fn users_runtime_dir(base: &Path, uid: u32) -> Option<OsString> {
    let dir = base.join(uid.to_string());
    let own = |meta: &fs::Metadata| meta.is_dir() && meta.uid() == uid;
    let found = fs::symlink_metadata(&dir).is_ok_and(|meta| own(&meta));
    found.then(|| dir.into_os_string())
}

fn absolute(path: Option<&OsStr>) -> Option<PathBuf> {
    path.map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> Environment {
        Environment {
            home: Some("/home/ann".into()),
            ..Environment::default()
        }
    }

    #[test]
    fn a_named_socket_is_the_only_candidate() {
        let env = Environment {
            socket: Some("/x/y.sock".into()),
            xdg_runtime_dir: Some("/run/user/7".into()),
            ..user()
        };
        assert_eq!(env.candidates(), [PathBuf::from("/x/y.sock")]);
    }

    #[test]
    fn the_user_comes_before_the_system() {
        let env = Environment {
            xdg_runtime_dir: Some("/run/user/7".into()),
            ..user()
        };
        assert_eq!(
            env.candidates(),
            [
                PathBuf::from("/run/user/7/agentd/agentd.sock"),
                PathBuf::from(SYSTEM_SOCKET)
            ]
        );
    }

    #[test]
    fn without_a_runtime_directory_the_state_directory_holds_it() {
        assert_eq!(
            user().runtime_dir(),
            Some(PathBuf::from("/home/ann/.local/state/agentd/run"))
        );
        let root = Environment {
            root: true,
            ..user()
        };
        assert_eq!(root.runtime_dir(), Some(PathBuf::from("/run/agentd")));
        assert_eq!(root.candidates(), [PathBuf::from(SYSTEM_SOCKET)]);
    }

    #[test]
    fn what_is_not_absolute_counts_as_unset() {
        let env = Environment {
            runtime_directory: Some(":run".into()),
            xdg_runtime_dir: Some("run".into()),
            xdg_state_home: Some("state".into()),
            ..user()
        };
        let state = PathBuf::from("/home/ann/.local/state/agentd");
        assert_eq!(env.runtime_dir(), Some(state.join("run")));
        assert_eq!(env.candidates()[0], state.join("run/agentd.sock"));
        assert_eq!(env.state_dir(), Some(state));
    }

    #[test]
    fn the_runtime_directory_of_a_session_is_found_without_its_variable() {
        let base = tempfile::tempdir().unwrap();
        let own = nix::unistd::geteuid().as_raw();
        assert_eq!(users_runtime_dir(base.path(), own), None);
        let dir = base.path().join(own.to_string());
        fs::create_dir(&dir).unwrap();
        assert_eq!(
            users_runtime_dir(base.path(), own),
            Some(dir.clone().into())
        );
        // Another's, and a link, are none.
        fs::create_dir(base.path().join("4242424242")).unwrap();
        assert_eq!(users_runtime_dir(base.path(), 4_242_424_242), None);
        fs::remove_dir(&dir).unwrap();
        std::os::unix::fs::symlink(base.path(), &dir).unwrap();
        assert_eq!(users_runtime_dir(base.path(), own), None);
    }

    #[test]
    fn a_service_manager_names_the_runtime_directory() {
        let env = Environment {
            runtime_directory: Some("/run/agentd:/run/other".into()),
            ..user()
        };
        assert_eq!(env.runtime_dir(), Some(PathBuf::from("/run/agentd")));
    }
}
