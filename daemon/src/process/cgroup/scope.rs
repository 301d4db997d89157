//! Scopes: units of the service manager, one for each attempt, in the slice of
//! the daemon's own unit.
//!
//! What is in a scope is in no part of the daemon's unit: the manager may stop,
//! start and replace that as it likes, and controllers can be switched on, for
//! a scope is never started again. The runner is in it, too, so that it is not
//! empty, and with that gone, before memory that ran out in the leaf was seen.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    super::units::{AskError, Service, own_service},
    CONTROLLERS, is_own, is_usable, mounted, own_group, prefix, write,
};
use crate::task::id::AttemptId;

/// Where a service manager and its clients meet: root's, and below a user's
/// runtime directory.
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";
const USER_BUS: &str = "bus";
/// The group of the runner itself in its scope.
const RUNNER: &str = "runner";

/// Why there are no scopes.
#[derive(Debug, thiserror::Error)]
pub enum NoScopes {
    /// The configuration does without.
    #[error("switched off by the configuration (daemon.cgroups)")]
    Unwanted,
    /// Root asks the system's manager, a user the one of its own, which is found
    /// by `XDG_RUNTIME_DIR`.
    #[error("a user who is not root has no service manager but its own, and none is known")]
    NoManager,
    /// Nobody could be asked.
    #[error("the service manager cannot be asked: {0}")]
    Ask(AskError),
    /// It could be asked, and would not answer.
    #[error("the service manager does not answer")]
    Silent,
    /// It was not started by it.
    #[error("the service manager does not run agentd as a service")]
    NoService,
    /// What the manager calls its groups is not what the kernel shows.
    #[error("no groups may be made below {0} here")]
    Unusable(String),
    /// The kernel does not tell.
    #[error("the control groups cannot be read: {0}")]
    Io(io::Error),
}

impl NoScopes {
    /// Whether it may be otherwise soon: nobody has said that it is so.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Ask(_) | Self::Silent => true,
            Self::Unwanted
            | Self::NoManager
            | Self::NoService
            | Self::Unusable(_)
            | Self::Io(_) => false,
        }
    }
}

/// The place where scopes can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes {
    bus: PathBuf,
    service: Service,
    /// The group of the slice.
    base: PathBuf,
    /// Of the names of all scopes and leaves of one state directory.
    prefix: String,
}

impl Scopes {
    /// Asks the service manager as which service it runs this process: that of
    /// the user with this runtime directory, else, for root, that of the system.
    /// May wait for ever; needs a runtime.
    ///
    /// # Errors
    /// If it runs it as none, nobody can be asked, or groups may not be made.
    pub async fn find(state_dir: &Path, runtime_dir: Option<&Path>) -> Result<Self, NoScopes> {
        let users = runtime_dir.map(|dir| dir.join(USER_BUS));
        let roots = rustix::process::geteuid()
            .is_root()
            .then(|| PathBuf::from(SYSTEM_BUS));
        let mut why = NoScopes::NoManager;
        for bus in users.into_iter().chain(roots) {
            match own_service(&bus).await {
                Ok(Some(service)) => return Self::of(state_dir, bus, service),
                Ok(None) => why = NoScopes::NoService,
                Err(error) => why = NoScopes::Ask(error),
            }
        }
        Err(why)
    }

    fn of(state_dir: &Path, bus: PathBuf, service: Service) -> Result<Self, NoScopes> {
        let unusable = || NoScopes::Unusable(service.slice.clone());
        let slice = slice_of(&service).ok_or_else(unusable)?;
        let base = mounted(slice)
            .map_err(NoScopes::Io)?
            .filter(|base| is_usable(base));
        Ok(Self {
            base: base.ok_or_else(unusable)?,
            prefix: prefix(state_dir),
            bus,
            service,
        })
    }

    /// Where the manager is asked.
    #[must_use]
    pub fn bus(&self) -> &Path {
        &self.bus
    }

    /// The unit of this process.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service.unit
    }

    /// The slice of that and of all scopes.
    #[must_use]
    pub fn slice(&self) -> &str {
        &self.service.slice
    }

    /// The name of an attempt's scope.
    #[must_use]
    pub fn unit(&self, attempt: AttemptId) -> String {
        unit(&self.prefix, attempt)
    }

    /// Where the group of an attempt's scope will be.
    #[must_use]
    pub fn group(&self, attempt: AttemptId) -> PathBuf {
        self.base.join(self.unit(attempt))
    }

    /// Where the leaf of an attempt is in its scope.
    #[must_use]
    pub fn leaf(&self, attempt: AttemptId) -> PathBuf {
        let name = format!("{}{attempt}", self.prefix);
        self.group(attempt).join(name)
    }
}

fn unit(prefix: &str, attempt: AttemptId) -> String {
    format!("{prefix}{attempt}.scope")
}

/// The group of the slice that a service is in.
fn slice_of(service: &Service) -> Option<&str> {
    let (slice, name) = service.group.rsplit_once('/')?;
    (name == service.unit).then_some(match slice {
        "" => "/",
        slice => slice,
    })
}

/// Whether this is a name that the group of this attempt's scope has.
#[must_use]
pub fn is_scope_of(path: &Path, state_dir: &Path, attempt: AttemptId) -> bool {
    is_own(path, &unit(&prefix(state_dir), attempt))
}

/// Makes room in the scope at this place for the group of an agent: this
/// process, which has to be all that is in it, moves to a group of its own, and
/// the controllers that limits need are switched on where they are to be had.
///
/// # Errors
/// If this process is not in it, or groups cannot be made there.
pub fn settle(scope: &Path) -> io::Result<()> {
    let own = own_group()?;
    if own.as_deref() != Some(scope) {
        let place = own.map_or_else(|| "no group".to_owned(), |own| own.display().to_string());
        return Err(io::Error::other(format!("it is {place}")));
    }
    let runner = scope.join(RUNNER);
    fs::create_dir(&runner)?;
    write(&runner.join("cgroup.procs"), "0")?;
    for controller in CONTROLLERS {
        // Those that we are not given cannot be switched on.
        let switch = format!("+{controller}");
        write(&scope.join("cgroup.subtree_control"), &switch).ok();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::id::TaskId;

    fn service(group: &str) -> Service {
        Service {
            unit: "agentd.service".to_owned(),
            slice: "agentd.slice".to_owned(),
            group: group.to_owned(),
        }
    }

    #[test]
    fn a_slice_is_above_its_service() {
        let deep = service("/user.slice/agentd.slice/agentd.service");
        assert_eq!(slice_of(&deep), Some("/user.slice/agentd.slice"));
        assert_eq!(slice_of(&service("/agentd.service")), Some("/"));
        assert_eq!(slice_of(&service("/agentd.slice")), None);
        assert_eq!(slice_of(&service("")), None);
    }

    #[test]
    fn a_scope_is_that_of_one_attempt_and_state() {
        let state = Path::new("/state");
        let attempt = AttemptId {
            task: TaskId::FIRST,
            number: 2,
        };
        let scopes = Scopes {
            bus: "/bus".into(),
            service: service("/agentd.slice/agentd.service"),
            base: "/groups/agentd.slice".into(),
            prefix: prefix(state),
        };
        let group = scopes.group(attempt);
        assert!(is_scope_of(&group, state, attempt));
        assert!(!is_scope_of(&group, Path::new("/other"), attempt));
        let other = AttemptId {
            number: 20,
            ..attempt
        };
        assert!(!is_scope_of(&group, state, other));
        assert!(!is_scope_of(
            Path::new(&scopes.unit(attempt)),
            state,
            attempt
        ));
        let up = group.join("..").join(scopes.unit(attempt));
        assert!(!is_scope_of(&up, state, attempt));
        // The leaf in it is a leaf as any other, and the scope itself is none.
        let leaf = scopes.leaf(attempt);
        assert!(super::super::is_leaf_of(&leaf, state, attempt));
        assert!(!super::super::is_leaf_of(&group, state, attempt));
        assert!(leaf.starts_with(&group));
    }

    #[test]
    fn nobody_settles_where_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let error = settle(dir.path()).unwrap_err();
        assert!(error.to_string().contains("it is "), "{error}");
        assert!(!dir.path().join(RUNNER).exists());
    }
}
