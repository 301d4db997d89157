//! Whether the agent still has a conversation, by its own files.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use super::{claude, codex, environment, gemini, opencode};
use crate::{
    config::{Agent, SESSION},
    task::{observed::is_session, session::Probe, spec::AgentType},
};

/// Looks for a session of an agent. Reads its `env_file`: blocks.
#[must_use]
pub fn probe(agent: &Agent, session: &str) -> Probe {
    if !is_session(session) {
        return Probe::Unknown;
    }
    let of_daemon = |name: &str| env::var_os(name);
    let Ok(env) = environment(agent, &of_daemon, BTreeMap::new()) else {
        return Probe::Unknown;
    };
    match agent.agent_type {
        AgentType::Command => {
            let file = agent.session.as_ref().and_then(|known| known.file.as_ref());
            file.map_or(Probe::Unknown, |file| look(file, session))
        }
        AgentType::Claude => claude::probe(&env, session),
        AgentType::Codex => codex::probe(&env, session),
        AgentType::Gemini => gemini::probe(&env, session),
        AgentType::Opencode => opencode::probe(&env, session),
    }
}

/// Whether an agent of this type begins a session under an id that it is given;
/// others say which one they made.
#[must_use]
pub fn takes_id(agent_type: AgentType) -> bool {
    match agent_type {
        AgentType::Claude | AgentType::Gemini => true,
        AgentType::Command | AgentType::Codex | AgentType::Opencode => false,
    }
}

/// Only what is missing where all sessions are kept is known to be missing: a
/// home that is not mounted proves nothing.
fn look(template: &str, session: &str) -> Probe {
    let kept: PathBuf = Path::new(template)
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(SESSION))
        .collect();
    if !kept.is_dir() {
        return Probe::Unknown;
    }
    match fs::metadata(template.replace(SESSION, session)) {
        Ok(_) => Probe::Present,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Probe::Absent,
        Err(_) => Probe::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_what_is_known_to_be_missing_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().display();
        fs::create_dir_all(dir.path().join("s/there")).unwrap();
        fs::write(dir.path().join("s/there/log"), "").unwrap();
        symlink("loop", dir.path().join("s/loop")).unwrap();
        for (template, session, expected) in [
            ("s/{session}/log", "there", Probe::Present),
            ("s/{session}/log", "gone", Probe::Absent),
            ("s/x-{session}.json", "gone", Probe::Absent),
            ("s/{session}", "loop", Probe::Unknown),
            ("unmounted/{session}", "gone", Probe::Unknown),
            ("s/there/log/{session}", "gone", Probe::Unknown),
        ] {
            let template = format!("{home}/{template}");
            assert_eq!(look(&template, session), expected, "{template} {session}");
        }
    }
}
