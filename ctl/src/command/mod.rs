//! One file a command: its arguments, whose doc comments are the help, and
//! what it does with them. A command gives the exit code.

pub(crate) mod acts;
pub(crate) mod agents;
pub(crate) mod backup;
pub(crate) mod budget;
pub(crate) mod bulk;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod filter;
pub(crate) mod hold;
pub(crate) mod later;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod metrics;
pub(crate) mod overview;
pub(crate) mod pause;
pub(crate) mod prune;
pub(crate) mod quota;
pub(crate) mod recover;
pub(crate) mod reload;
pub(crate) mod report;
pub(crate) mod rerun;
pub(crate) mod resources;
pub(crate) mod retry;
pub(crate) mod run;
pub(crate) mod schedules;
pub(crate) mod service;
pub(crate) mod sessions;
pub(crate) mod show;
pub(crate) mod shutdown;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod submit;
pub(crate) mod task;
pub(crate) mod top;
pub(crate) mod usage;
pub(crate) mod version;
pub(crate) mod wait;
pub(crate) mod watch;
pub(crate) mod workspace;

use std::str::FromStr;

use agentd_proto::v1::{self, State};

use crate::{
    error::{EXIT_FAILED, EXIT_OK, Error, Kind},
    output::Output,
};

/// A number that counts something.
///
/// # Errors
/// What is expected.
pub(crate) fn count<T: FromStr>(text: &str) -> Result<T, String> {
    let number = text.parse();
    number.map_err(|_| "expected a whole number, 0 or more".to_owned())
}

/// As [`count`], of which there must be one at least.
///
/// # Errors
/// What is expected.
pub(crate) fn at_least_one<T: FromStr + Default + PartialEq>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| *number != T::default());
    number.ok_or_else(|| "expected a whole number, 1 or more".to_owned())
}

/// A rank: what is greater comes first.
///
/// # Errors
/// What is expected.
pub(crate) fn priority(text: &str) -> Result<i32, String> {
    let number = text.parse();
    number.map_err(|_| "expected a whole number such as 10 or -5".to_owned())
}

/// The exit code for a task that has ended; the agent's own with `propagate`.
pub(crate) fn exit_code(task: &v1::Task, propagate: bool) -> u8 {
    if task.state() == State::Succeeded {
        return EXIT_OK;
    }
    let exit = task.attempt.as_ref().and_then(|a| a.exit.as_ref());
    exit.filter(|_| propagate)
        .and_then(|exit| match (exit.signal, exit.code) {
            (Some(signal), _) => signal.checked_add(128),
            (None, code) => code,
        })
        .and_then(|code| u8::try_from(code).ok())
        // An agent that exited with 0 does not make its task a success.
        .filter(|&code| code != EXIT_OK)
        .unwrap_or(EXIT_FAILED)
}

/// What became of several tasks: the first error decides the exit code, and
/// the others are tried all the same.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    code: u8,
}

impl Tally {
    /// Counts one result, and says what went wrong.
    ///
    /// # Errors
    /// One that every further task would meet as well.
    pub(crate) fn add(&mut self, out: &mut Output, result: Result<(), Error>) -> Result<(), Error> {
        let Err(error) = result else {
            return Ok(());
        };
        if error.is_unknown_call() {
            return Err(error);
        }
        match error.kind() {
            Kind::Unreachable | Kind::ClosedPipe | Kind::Timeout => return Err(error),
            Kind::Other
            | Kind::Usage
            | Kind::NotFound
            | Kind::Conflict
            | Kind::Gone
            | Kind::Permission => out.error(&error),
        }
        if self.code == EXIT_OK {
            self.code = error.kind().exit_code();
        }
        Ok(())
    }

    /// The exit code of all.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

/// A name that was given: an empty one, as of a variable that is not set,
/// would mean the default or all.
///
/// # Errors
/// It is empty.
pub(crate) fn given(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(text.to_owned())
}

/// An id for a request, so that the same one made twice is made once.
///
/// # Errors
/// The system gives no randomness.
pub(crate) fn random_request_id() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(Kind::Other, "cannot make a request id").because(error))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(state: State, code: Option<i32>, signal: Option<i32>) -> v1::Task {
        v1::Task {
            state: state.into(),
            attempt: Some(v1::Attempt {
                exit: Some(v1::Exit {
                    code,
                    signal,
                    ..v1::Exit::default()
                }),
                ..v1::Attempt::default()
            }),
            ..v1::Task::default()
        }
    }

    #[test]
    fn the_exit_code_is_the_tasks_or_the_agents() {
        for (state, code, signal, plain, propagated) in [
            (State::Succeeded, Some(0), None, 0, 0),
            (State::Failed, Some(3), None, 1, 3),
            (State::Aborted, Some(79), None, 1, 79),
            (State::Failed, None, Some(9), 1, 137),
            (State::Failed, Some(0), None, 1, 1),
            (State::Interrupted, None, None, 1, 1),
            (State::Failed, Some(4096), None, 1, 1),
        ] {
            let task = ended(state, code, signal);
            assert_eq!(exit_code(&task, false), plain, "{task:?}");
            assert_eq!(exit_code(&task, true), propagated, "{task:?}");
        }
        assert_eq!(exit_code(&v1::Task::default(), true), 1);
    }

    #[test]
    fn request_ids_differ() {
        let (a, b) = (random_request_id().unwrap(), random_request_id().unwrap());
        assert_eq!(a.len(), 32);
        assert_ne!(a, b);
    }
}
