//! `agentctl hold` and `agentctl release`.

use agentd_proto::v1::{self, State};
use clap::Args;

use super::acts::{Act, Acts};
use crate::{
    cli::Context,
    client::Client,
    error::Error,
    id::{TaskSet, resolve_all},
    output::list::TellArgs,
    view::{is_final, state_word},
};

/// Keep queued tasks from being started until they are released.
///
/// A held task stays where it is in the queue, also over a restart of the
/// daemon, and keeps others of its agent, repository and issue behind it. Its
/// queue_ttl does not run out meanwhile; it is counted from the release on. It
/// is no error if a task is held already.
#[derive(Debug, Args)]
pub(crate) struct Hold {
    /// The tasks: 42, 40-44, @last.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<TaskSet>,

    #[command(flatten)]
    tell: TellArgs,
}

/// Let held tasks be started again; also those that pause or are for later.
///
/// Lifts `agentctl hold`, and ends the pause after a failed attempt and the
/// wait of --not-before and --delay at once. Tasks that it waits for (--after)
/// have to end all the same. It is no error if nothing holds a task.
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// The tasks: 42, 40-44, @last.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<TaskSet>,

    #[command(flatten)]
    tell: TellArgs,
}

impl Hold {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let mut acts = Acts::new(self.tell);
        for id in resolve_all(&client, &self.ids).await? {
            let act = hold_one(&client, id).await;
            acts.add(&mut cx.out, id, act)?;
        }
        acts.finish(&mut cx.out)
    }
}

impl Release {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let mut acts = Acts::new(self.tell);
        for id in resolve_all(&client, &self.ids).await? {
            let act = release_one(&client, id).await;
            acts.add(&mut cx.out, id, act)?;
        }
        acts.finish(&mut cx.out)
    }
}

/// Holds one task; what became of it.
///
/// # Errors
/// The daemon's.
pub(crate) async fn hold_one(client: &Client, id: u64) -> Result<Act, Error> {
    let answer = client.hold(id).await?;
    Ok(act(held(id, &answer), &answer))
}

/// Releases one task; what became of it.
///
/// # Errors
/// The daemon's.
pub(crate) async fn release_one(client: &Client, id: u64) -> Result<Act, Error> {
    let answer = client.release(id).await?;
    Ok(act(released(id, &answer), &answer))
}

fn act(words: String, answer: &v1::HoldResponse) -> Act {
    Act {
        words,
        changed: answer.changed,
        state: answer
            .task
            .as_ref()
            .map(v1::Task::state)
            .unwrap_or_default(),
    }
}

fn held(id: u64, answer: &v1::HoldResponse) -> String {
    if answer.changed {
        return format!("task {id} is held: agentctl release {id} lets it go");
    }
    let hold = answer.task.as_ref().and_then(|task| task.hold.as_ref());
    match hold.map(|hold| hold.by.as_str()) {
        Some(by) if !by.is_empty() => format!("task {id} is held already, by {by}"),
        Some(_) | None => format!("task {id} is held already"),
    }
}

fn released(id: u64, answer: &v1::HoldResponse) -> String {
    let task = answer.task.clone().unwrap_or_default();
    let hold = task.hold.clone().unwrap_or_default();
    let waits = match (task.state(), hold.kind.as_str()) {
        (State::Queued, "dependency") => format!("; it still waits for task {}", hold.task),
        _ => String::new(),
    };
    if answer.changed {
        format!("task {id} is released{waits}")
    } else if task.state() == State::Queued {
        format!("task {id} was not held{waits}")
    } else if is_final(task.state()) {
        let word = state_word(task.state());
        format!("task {id} is not held: it has ended ({word})")
    } else {
        format!("task {id} is not held: it is {}", state_word(task.state()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(state: State, kind: &str, changed: bool) -> v1::HoldResponse {
        v1::HoldResponse {
            task: Some(v1::Task {
                state: state.into(),
                hold: Some(v1::Hold {
                    kind: kind.to_owned(),
                    task: 7,
                    by: "bob".to_owned(),
                    ..v1::Hold::default()
                }),
                ..v1::Task::default()
            }),
            changed,
        }
    }

    #[test]
    fn what_became_of_it() {
        let now = answer(State::Queued, "held", true);
        assert_eq!(
            held(42, &now),
            "task 42 is held: agentctl release 42 lets it go"
        );
        let before = answer(State::Queued, "held", false);
        assert_eq!(held(42, &before), "task 42 is held already, by bob");
        for (state, kind, changed, text) in [
            (State::Queued, "none", true, "task 42 is released"),
            (
                State::Queued,
                "dependency",
                true,
                "task 42 is released; it still waits for task 7",
            ),
            (State::Starting, "", true, "task 42 is released"),
            (State::Queued, "none", false, "task 42 was not held"),
            (
                State::Running,
                "",
                false,
                "task 42 is not held: it is running",
            ),
            (
                State::Succeeded,
                "",
                false,
                "task 42 is not held: it has ended (succeeded)",
            ),
        ] {
            assert_eq!(released(42, &answer(state, kind, changed)), text);
        }
    }
}
