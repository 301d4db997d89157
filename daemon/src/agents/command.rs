//! The type `command`: any program, the agent's own or the task's.
//!
//! | agent's command | task's command | prompt | runs |
//! |---|---|---|---|
//! | yes | no | any | the agent's, the prompt on its standard input |
//! | no | yes | any | the task's, the prompt on its standard input |
//! | no, `shell` | no | yes | `sh`, the prompt as the script on its standard input |
//! | else | | | an error |

use std::collections::BTreeMap;

use super::{InvocationError, Plan, driver::Job, note::before_prompt};
use crate::{
    config::SHELL,
    spool::{Reads, Stdin},
};

/// The note goes before the prompt only of an agent that has sessions: the
/// prompt of any other is the input of some program, or a script.
pub(super) fn plan(job: &Job<'_>) -> Result<Plan, InvocationError> {
    let (agent, payload) = (job.agent, job.payload);
    let note = job.note.filter(|_| agent.session.is_some());
    let prompt = before_prompt(note, &payload.prompt);
    let stdin = if prompt.is_empty() {
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
        prompt,
        reads: match agent.output.is_empty() {
            true => Reads::Nothing,
            false => Reads::Lines(agent.output.clone()),
        },
        env: BTreeMap::new(),
    })
}
