//! `agentctl cancel` and `agentctl kill`.

use agentd_proto::v1;
use clap::Args;

use super::Tally;
use crate::{
    cli::Context,
    client::Client,
    error::Error,
    id::{TaskSet, resolve_all},
    view::{is_final, state_word},
};

/// Cancel tasks: ask their agents to stop, kill them after a grace.
///
/// It is no error if a task has ended already.
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
}

impl Cancel {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        stop(cx, &self.which.ids, false).await
    }
}

impl Kill {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        stop(cx, &self.which.ids, true).await
    }
}

async fn stop(cx: &mut Context, sets: &[TaskSet], kill: bool) -> Result<u8, Error> {
    let client = cx.client().await?;
    let mut tally = Tally::default();
    for id in resolve_all(&client, sets).await? {
        let said = stop_one(&client, id, kill).await;
        let result = said.map(|said| cx.out.message(&said));
        tally.add(&mut cx.out, result)?;
    }
    Ok(tally.code())
}

/// Cancels one task, or kills its agent; what became of it.
///
/// # Errors
/// The daemon's.
pub(crate) async fn stop_one(client: &Client, id: u64, kill: bool) -> Result<String, Error> {
    let answer = if kill {
        client.kill(id).await?
    } else {
        client.cancel(id).await?
    };
    Ok(what_became(id, &answer))
}

fn what_became(id: u64, answer: &v1::CancelResponse) -> String {
    let state = answer
        .task
        .as_ref()
        .map(v1::Task::state)
        .unwrap_or_default();
    let word = state_word(state);
    match (answer.already_final, is_final(state)) {
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
    use agentd_proto::v1::State;

    use super::*;

    #[test]
    fn what_became_of_it() {
        let say = |state: State, already_final| {
            let task = v1::Task {
                state: state.into(),
                ..v1::Task::default()
            };
            let answer = v1::CancelResponse {
                task: Some(task),
                already_final,
            };
            what_became(42, &answer)
        };
        assert_eq!(say(State::Stopping, false), "task 42 is being stopped");
        assert_eq!(say(State::Cancelled, false), "task 42 cancelled");
        assert_eq!(say(State::Succeeded, true), "task 42 has succeeded already");
        assert_eq!(
            say(State::Cancelled, true),
            "task 42 has been cancelled already"
        );
    }
}
