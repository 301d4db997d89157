//! Agents whose program has a driver: what can be set of them besides what is
//! the same for all, and those that are there without being configured.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use nix::sys::signal::Signal;

use super::Agent;
use crate::task::spec::AgentType;

/// What an agent may do without being asked; there is nobody whom it could ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Permissions {
    /// Everything that its user may.
    #[default]
    All,
    /// Change files where it works, as far as its program can hold it to that.
    Edit,
    /// Look.
    Read,
}

impl Permissions {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::All, Self::Edit, Self::Read];

    /// The word in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Edit => "edit",
            Self::Read => "read",
        }
    }
}

/// The signal that asks a program of this type to end, unless the
/// configuration names another.
///
/// Claude Code and Codex end their tools and say what they have used after
/// SIGINT; after SIGTERM they do not.
pub(super) fn polite_signal(agent_type: AgentType) -> i32 {
    match agent_type {
        AgentType::Claude | AgentType::Codex => Signal::SIGINT as i32,
        AgentType::Command | AgentType::Gemini | AgentType::Opencode => Signal::SIGTERM as i32,
    }
}

/// Where a search path has this program; `None`: nowhere, or it may not be run.
#[must_use]
pub fn find_program(name: &str, path: &OsStr) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|file| is_program(file));
    }
    let dirs = std::env::split_paths(path).filter(|dir| dir.is_absolute());
    dirs.map(|dir| dir.join(name)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    // Whether we in particular may run it shows when it is run.
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Adds an agent for each type whose program is found, unless the operator has
/// named one of that type, or another one by its name.
pub(super) fn add_found(agents: &mut BTreeMap<String, Agent>, path: &OsStr) {
    for agent_type in AgentType::ALL {
        let Some(program) = agent_type.program() else {
            continue;
        };
        let named = agents.values().any(|agent| agent.agent_type == agent_type);
        if !named && !agents.contains_key(program) && find_program(program, path).is_some() {
            agents.insert(program.to_owned(), Agent::new(program, agent_type));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(dir: &Path, name: &str, mode: u32) {
        let file = dir.join(name);
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_found_is_there_unless_the_operator_says_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let [first, second] = ["a", "b"].map(|name| dir.path().join(name));
        for dir in [&first, &second] {
            fs::create_dir(dir).unwrap();
        }
        program(&first, "claude", 0o644);
        program(&second, "claude", 0o755);
        program(&second, "codex", 0o755);
        program(&second, "gemini", 0o755);
        fs::create_dir(first.join("opencode")).unwrap();
        let path = std::env::join_paths([&first, &second]).unwrap();
        assert_eq!(find_program("claude", &path), Some(second.join("claude")));
        assert_eq!(find_program("opencode", &path), None);
        let by_path = second.join("codex");
        assert_eq!(
            find_program(by_path.to_str().unwrap(), OsStr::new("")),
            Some(by_path)
        );

        let agents = [
            Agent::new("reviewer", AgentType::Codex),
            Agent::new("gemini", AgentType::Command),
        ];
        let named = agents.into_iter().map(|agent| (agent.name.clone(), agent));
        let mut agents: BTreeMap<_, _> = named.collect();
        add_found(&mut agents, &path);
        let types: Vec<_> = agents.values().map(|a| (&*a.name, a.agent_type)).collect();
        assert_eq!(
            types,
            [
                ("claude", AgentType::Claude),
                ("gemini", AgentType::Command),
                ("reviewer", AgentType::Codex),
            ]
        );
    }

    #[test]
    fn a_relative_directory_is_not_searched() {
        // It would be another one for the agent than for us.
        assert_eq!(find_program("sh", OsStr::new(".:bin:")), None);
        assert!(find_program("sh", OsStr::new("/usr/bin:/bin")).is_some());
    }
}
