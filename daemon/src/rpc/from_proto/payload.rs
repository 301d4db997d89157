//! Whether an agent can be given a prompt or a command.

use crate::{
    config,
    rpc::error::Failure,
    task::{limits::MAX_PROMPT, spec::AgentType},
};

pub(super) fn payload_fits(
    agent: &config::Agent,
    prompt: &str,
    command: &[String],
) -> Result<(), Failure> {
    let size = prompt.len() + command.iter().map(String::len).sum::<usize>();
    if size > MAX_PROMPT {
        return Err(Failure::field(
            "prompt",
            format!("prompt and command have {size} bytes; {MAX_PROMPT} are the limit"),
        )
        .hint("put long material into a file in the repository and name it in the prompt"));
    }
    if command.iter().any(|word| word.contains('\0'))
        || command.first().is_some_and(String::is_empty)
    {
        return Err(Failure::field(
            "command",
            "the command has an empty program or a NUL byte",
        ));
    }
    if agent.agent_type != AgentType::Command {
        if !command.is_empty() {
            let name = &agent.name;
            let wrong = format!("agent {name} takes a prompt, not a command");
            return Err(Failure::field("command", wrong)
                .hint("give it a prompt, or leave out --agent to run the command as it is"));
        }
        if prompt.trim().is_empty() {
            let wrong = format!("agent {} needs a prompt", agent.name);
            return Err(Failure::field("prompt", wrong).hint("agentctl run --agent NAME PROMPT"));
        }
    } else if agent.command.is_empty() {
        if prompt.trim().is_empty() && command.is_empty() {
            return Err(
                Failure::field("prompt", "prompt and command are both empty")
                    .hint("agentctl run PROMPT, or agentctl run -- COMMAND"),
            );
        }
    } else if !command.is_empty() {
        return Err(Failure::field(
            "command",
            format!("agent {} has a command of its own", agent.name),
        )
        .hint("give it a prompt, or leave out --agent to run the command as it is"));
    }
    Ok(())
}
