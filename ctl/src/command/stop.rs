//! `agentctl cancel` and `agentctl kill`.

use agentd_proto::v1::{self, State};
use clap::Args;

use super::acts::{Act, Acts};
use crate::{
    cli::Context,
    client::Client,
    error::{Error, Kind},
    id::{TaskSet, resolve_all},
    output::{list::TellArgs, table::one_line},
    view::{is_final, state_word},
};

/// Cancel tasks: ask their agents to stop, kill them after a grace.
///
/// Several are cancelled at once: none of them gets the slot of another. It is
/// no error if a task has ended already.
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    which: Which,
}

/// Kill the agents of tasks at once, without a grace, and cancel the tasks.
///
/// It is no error if a task has ended already.
#[derive(Debug, Args)]
pub(crate) struct Kill {
    #[command(flatten)]
    which: Which,
}

/// Several tasks.
#[derive(Debug, Args)]
struct Which {
    /// The tasks: 42, 40-44, @last, @last-failed.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<TaskSet>,

    #[command(flatten)]
    tell: TellArgs,
}

impl Cancel {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        stop(cx, &self.which, false).await
    }
}

impl Kill {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        stop(cx, &self.which, true).await
    }
}

/// Most tasks of one request; the daemon takes no more.
const AT_ONCE: usize = 1000;

async fn stop(cx: &mut Context, which: &Which, kill: bool) -> Result<u8, Error> {
    let client = cx.client().await?;
    let mut ids = resolve_all(&client, &which.ids).await?;
    let mut acts = Acts::new(which.tell);
    if let [id] = ids[..] {
        let act = stop_one(&client, id, kill).await;
        acts.add(&mut cx.out, id, act)?;
        return acts.finish(&mut cx.out);
    }
    if ids.len() > AT_ONCE {
        // The newest first: what waits for a slot is younger than what has one,
        // and is not to get it for a moment.
        ids.sort_unstable_by(|a, b| b.cmp(a));
    }
    for ids in ids.chunks(AT_ONCE) {
        let question = v1::CancelRequest {
            ids: ids.to_vec(),
            ..v1::CancelRequest::default()
        };
        let answer = match client.cancel(question, kill).await {
            Ok(answer) => answer,
            Err(error) => return Err(acts.cut_short(&mut cx.out, error)),
        };
        for cancelled in answer.each {
            acts.add(&mut cx.out, cancelled.id, became(&cancelled))?;
        }
    }
    acts.finish(&mut cx.out)
}

/// Cancels one task, or kills its agent; what became of it.
///
/// # Errors
/// The daemon's.
pub(crate) async fn stop_one(client: &Client, id: u64, kill: bool) -> Result<Act, Error> {
    let question = v1::CancelRequest {
        id,
        ..v1::CancelRequest::default()
    };
    let answer = client.cancel(question, kill).await?;
    let state = answer.task.as_ref().map(v1::Task::state);
    Ok(act(id, state.unwrap_or_default(), answer.already_final))
}

/// What became of one of several.
fn became(cancelled: &v1::Cancelled) -> Result<Act, Error> {
    let id = cancelled.id;
    match &cancelled.task {
        Some(task) => Ok(act(id, task.state(), cancelled.already_final)),
        None => {
            let error = Error::new(Kind::NotFound, one_line(&cancelled.refused));
            Err(match cancelled.hint.as_str() {
                "" => error,
                hint => error.hint(one_line(hint)),
            })
        }
    }
}

fn act(id: u64, state: State, already_final: bool) -> Act {
    Act {
        words: what_became(id, state, already_final),
        changed: !already_final,
        state,
    }
}

fn what_became(id: u64, state: State, already_final: bool) -> String {
    let word = state_word(state);
    match (already_final, is_final(state)) {
        (true, _) => format!("task {id} has {word} already", word = ended_word(word)),
        (false, true) => format!("task {id} {word}"),
        (false, false) => format!("task {id} is being stopped"),
    }
}

/// "has been cancelled", but "has failed".
fn ended_word(word: &str) -> String {
    match word {
        "cancelled" | "interrupted" | "aborted" => format!("been {word}"),
        word => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_it() {
        let say = |state, already_final| what_became(42, state, already_final);
        assert_eq!(say(State::Stopping, false), "task 42 is being stopped");
        assert_eq!(say(State::Cancelled, false), "task 42 cancelled");
        assert_eq!(say(State::Succeeded, true), "task 42 has succeeded already");
        assert_eq!(
            say(State::Cancelled, true),
            "task 42 has been cancelled already"
        );
    }
}
