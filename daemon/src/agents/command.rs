//! The type `command`: any program, the agent's own or the task's.
//!
//! | agent's command | task's command | prompt | runs |
//! |---|---|---|---|
//! | yes | no | any | the agent's, the prompt on its standard input |
//! | no | yes | any | the task's, the prompt on its standard input |
//! | no, `shell` | no | yes | `sh`, the prompt as the script on its standard input |
//! | else | | | an error |

use std::collections::BTreeMap;

use super::{InvocationError, Plan};
use crate::{
    config::{Agent, SHELL},
    spool::{Reads, Stdin},
    task::spec::Payload,
};

pub(super) fn plan(agent: &Agent, payload: &Payload) -> Result<Plan, InvocationError> {
    let stdin = if payload.prompt.is_empty() {
        Stdin::Empty
    } else {
        Stdin::Prompt
    };
    let name = || agent.name.clone();
    let argv = match (agent.command.as_slice(), payload.command.as_slice()) {
        ([], []) if agent.name == SHELL && stdin == Stdin::Prompt => {
            vec!["sh".to_owned(), "-s".to_owned()]
        }
        ([], []) => return Err(InvocationError::NoCommand { agent: name() }),
        // To run either of the two would be a surprise.
        ([_, ..], [_, ..]) => return Err(InvocationError::TwoCommands { agent: name() }),
        (words, []) | ([], words) => words.to_vec(),
    };
    Ok(Plan {
        argv,
        stdin,
        reads: match agent.output.is_empty() {
            true => Reads::Nothing,
            false => Reads::Lines(agent.output.clone()),
        },
        env: BTreeMap::new(),
    })
}
