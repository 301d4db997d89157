//! Which agent a task is for.

use agentd_proto::reason;
use tonic::Code;

use super::super::error::Failure;
use crate::{
    config::{self, Agent, Config, SHELL},
    task::{
        limits::{MAX_LABEL, clip},
        spec::AgentType,
    },
};

/// The agent that a task names; else the one that the operator has chosen;
/// `shell` for a command; for a prompt the only agent that understands one.
/// Words for a person are never run as a script unless somebody says so.
pub(super) fn chosen<'a>(
    named: &str,
    is_command: bool,
    config: &'a Config,
) -> Result<&'a Agent, Failure> {
    let default = config.default_agent.as_deref().filter(|_| !is_command);
    let name = match (named, default) {
        ("", Some(default)) => default,
        ("", None) if is_command => SHELL,
        ("", None) => return only_driven(config),
        (named, _) => named,
    };
    config
        .agent(name)
        .ok_or_else(|| unknown_agent(name, config, Code::InvalidArgument))
}

fn only_driven(config: &Config) -> Result<&Agent, Failure> {
    let agents = config.agents.values();
    let driven: Vec<&Agent> = agents
        .filter(|agent| agent.agent_type.program().is_some())
        .collect();
    let refused =
        |message: &str| Failure::new(Code::InvalidArgument, reason::AGENT_UNKNOWN, message);
    match driven.as_slice() {
        [agent] => Ok(agent),
        [] => {
            let programs: Vec<&str> = AgentType::ALL
                .into_iter()
                .filter_map(AgentType::program)
                .collect();
            let message = format!(
                "no agent is there for a prompt: none of {} is on the daemon's PATH",
                programs.join(", ")
            );
            Err(refused(&message).hint(
                "install one and agentctl reload; agentctl run -- CMD runs a command, \
                 --agent shell a script",
            ))
        }
        [first, ..] => {
            let names: Vec<&str> = driven.iter().map(|agent| agent.name.as_str()).collect();
            let message = format!("which agent is to do it? there are {}", names.join(", "));
            Err(refused(&message).hint(format!(
                "--agent {}, or default_agent in [daemon] of the configuration",
                first.name
            )))
        }
    }
}

/// The refusal of a name that no agent has.
pub(in crate::rpc) fn unknown_agent(name: &str, config: &Config, code: Code) -> Failure {
    let known: Vec<_> = config.agents.keys().map(String::as_str).collect();
    let nearest = config::nearest(name, known.iter().copied());
    let driven = AgentType::ALL
        .into_iter()
        .find(|driven| driven.as_str() == name && driven.program().is_some());
    let hint = match (driven, nearest) {
        (Some(driven), _) => format!(
            "{name} is not on the daemon's PATH: install it, or set path in [agents.{name}] of \
             its configuration, with type = \"{driven}\"",
            driven = driven.as_str()
        ),
        (None, Some(nearest)) => format!("did you mean {nearest}?"),
        (None, None) => format!("configured are: {}", known.join(", ")),
    };
    Failure::new(
        code,
        reason::AGENT_UNKNOWN,
        // No agent has a longer name, and the answer has to fit a header.
        format!("there is no agent {:?}", clip(name, MAX_LABEL)),
    )
    .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_for_an_agent_that_understands_it() {
        let of = |types: &[AgentType]| {
            let mut config = Config::default();
            for driven in types {
                let name = driven.as_str();
                let agent = Agent::new(name, *driven);
                config.agents.insert(name.to_owned(), agent);
            }
            config
        };
        let name = |config: &Config, named: &str, is_command: bool| {
            chosen(named, is_command, config)
                .map(|agent| agent.name.clone())
                .map_err(|refused| tonic::Status::from(refused).message().to_owned())
        };
        let none = of(&[]);
        let refused = name(&none, "", false).unwrap_err();
        assert!(refused.contains("claude, codex"), "{refused}");
        assert_eq!(name(&none, "", true), Ok("shell".to_owned()));
        assert_eq!(name(&none, "shell", false), Ok("shell".to_owned()));

        let one = of(&[AgentType::Codex]);
        assert_eq!(name(&one, "", false), Ok("codex".to_owned()));
        assert_eq!(name(&one, "", true), Ok("shell".to_owned()));

        let two = of(&[AgentType::Codex, AgentType::Claude]);
        let refused = name(&two, "", false).unwrap_err();
        assert!(refused.ends_with("there are claude, codex"), "{refused}");
        let said = Config {
            default_agent: Some("shell".to_owned()),
            ..two
        };
        assert_eq!(name(&said, "", false), Ok("shell".to_owned()));
        assert_eq!(name(&said, "claude", false), Ok("claude".to_owned()));
    }
}
