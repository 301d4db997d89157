//! The environment of an agent: a clean base, what the configuration names,
//! and what the agent is told about its task.
//!
//! Nothing else of the daemon's environment is passed on, and nothing of the
//! shell that submitted the task. Later layers win; what the agent is told
//! wins over all.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use nix::unistd::{User, geteuid};

use crate::{
    config::{Agent, EnvFileError, read_env_file},
    task::{
        attempt::{Attempt, Workspace},
        state::Task,
        token::{TOKEN, Token},
    },
};

/// Where programs are looked for if nobody says so.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A variable that cannot be given to an agent.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// Only text can be kept and passed on.
    #[error("the value of {name} is not UTF-8")]
    NotUtf8 {
        /// The variable.
        name: String,
    },
    /// No process can be given such a value.
    #[error("the value of {name} holds a NUL character")]
    Nul {
        /// The variable.
        name: String,
    },
    /// The agent's file of variables cannot be used.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: EnvFileError,
    },
}

/// What an agent is told about its task, and the token by which it may speak of
/// its attempt. The runner adds `AGENTD_ATTEMPT`, which marks the processes of
/// an attempt and names it.
///
/// # Errors
/// A path that is not UTF-8, and an issue with a NUL character.
pub(super) fn facts(
    task: &Task,
    attempt: &Attempt,
    workspace: &Workspace,
    socket: &Path,
) -> Result<BTreeMap<String, String>, EnvironmentError> {
    let id = task.id.to_string();
    let token = Token::of(attempt.nonce).to_hex();
    let mut facts = BTreeMap::from([("AGENTD_TASK".to_owned(), id), (TOKEN.to_owned(), token)]);
    let texts = [
        ("AGENTD_ISSUE", task.spec.issue.as_ref()),
        ("AGENTD_BRANCH", workspace.branch.as_ref()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            facts.insert(name.to_owned(), checked(name, text.into())?);
        }
    }
    let paths = [
        ("AGENTD_SOCKET", Some(socket)),
        ("AGENTD_REPO", task.spec.repo.as_deref()),
        ("AGENTD_WORKSPACE", Some(&*workspace.path)),
    ];
    for (name, path) in paths {
        if let Some(path) = path {
            facts.insert(name.to_owned(), checked(name, path.into())?);
        }
    }
    Ok(facts)
}

/// The whole environment of `agent`, made of what `daemon` says of the daemon's
/// own variables and of `facts`.
///
/// # Errors
/// An `env_file` that cannot be used, and values that are not text.
pub fn environment(
    agent: &Agent,
    daemon: &dyn Fn(&str) -> Option<OsString>,
    facts: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, EnvironmentError> {
    let mut env = base_environment(agent.path.as_deref(), daemon)?;
    if let Some(file) = &agent.env_file {
        let variables = read_env_file(file).map_err(|source| EnvironmentError::File {
            path: file.display().to_string(),
            source,
        })?;
        env.extend(variables);
    }
    for name in &agent.env_pass {
        // One that is not set is not passed; that is no reason not to start.
        if let Some(value) = daemon(name) {
            env.insert(name.clone(), checked(name, value)?);
        }
    }
    env.extend(agent.env.clone());
    // A file could set what is not to be known, or the mark of an attempt.
    env.retain(|name, _| !name.starts_with("AGENTD_"));
    env.extend(facts);
    Ok(env)
}

/// What every environment begins with, made of what `daemon` says of the daemon's
/// own variables: home, user, language, and where programs are looked for, if not
/// in `path`.
///
/// # Errors
/// Values that are not text.
pub fn base_environment(
    path: Option<&str>,
    daemon: &dyn Fn(&str) -> Option<OsString>,
) -> Result<BTreeMap<String, String>, EnvironmentError> {
    // A service may have none of these; the user's account has them all.
    let account = User::from_uid(geteuid()).ok().flatten();
    let account = account.as_ref();
    let name = account.map(|user| OsString::from(&user.name));
    let home = account.map(|user| user.dir.clone().into_os_string());
    let shell = account.map(|user| user.shell.clone().into_os_string());
    let user = daemon("USER").or(name);
    let variables = [
        ("HOME", daemon("HOME").or(home)),
        ("LANG", daemon("LANG").or(Some("C.UTF-8".into()))),
        ("LOGNAME", daemon("LOGNAME").or(user.clone())),
        ("USER", user),
        ("PATH", search_path(path, daemon)),
        ("SHELL", daemon("SHELL").or(shell)),
        ("TERM", Some("dumb".into())),
        ("TMPDIR", daemon("TMPDIR")),
    ];
    let mut env = BTreeMap::new();
    for (name, value) in variables {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            env.insert(name.to_owned(), checked(name, value)?);
        }
    }
    Ok(env)
}

fn search_path(own: Option<&str>, daemon: &dyn Fn(&str) -> Option<OsString>) -> Option<OsString> {
    let own = own.map(OsString::from);
    own.or_else(|| daemon("PATH")).or(Some(PATH.into()))
}

fn checked(name: &str, value: OsString) -> Result<String, EnvironmentError> {
    let name = || name.to_owned();
    let value = value
        .into_string()
        .map_err(|_| EnvironmentError::NotUtf8 { name: name() })?;
    if value.contains('\0') {
        return Err(EnvironmentError::Nul { name: name() });
    }
    Ok(value)
}
