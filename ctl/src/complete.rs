//! What the shell offers when Tab is pressed: verbs and flags from the tree of
//! commands, and ids, agents, repositories and more from the daemon.
//!
//! The scripts that `agentctl completions` prints run `agentctl` itself, with
//! [`VARIABLE`] in its environment and the words typed so far as arguments. Who
//! waits for Tab wants to go on typing: a daemon that does not answer at once is
//! as good as none, none is started, and nothing is said about either.

use std::{
    collections::BTreeSet, env, ffi::OsStr, future::Future, path::PathBuf, process::ExitCode,
    time::Duration,
};

use agentd_proto::{
    endpoint::Environment,
    v1::{self, State},
};
use clap::{Arg, Command};
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter},
};

use crate::{
    client::Client,
    doctor::Surroundings,
    error::Error,
    output::table::{cut, one_line},
    socket::Sockets,
    view::{ACTIVE_STATES, UNSUCCESSFUL_STATES, state_word},
};

/// Names the shell that asks.
pub(crate) const VARIABLE: &str = "AGENTCTL_COMPLETE";

/// How long the daemon has to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most tasks that are offered, or looked through for what they name.
const TASKS: u32 = 100;
/// Columns of a task's title behind its id.
const TITLE: usize = 40;

/// Answers, if it is the shell that asks.
pub(crate) fn answer(tree: fn() -> Command) -> Option<ExitCode> {
    let here = env::current_dir().ok();
    match CompleteEnv::with_factory(|| with_candidates(tree()))
        .var(VARIABLE)
        .completer("agentctl")
        .try_complete(env::args_os(), here.as_deref())
    {
        Ok(false) => None,
        Ok(true) => Some(ExitCode::SUCCESS),
        // Words that cannot be completed, or a shell that went away.
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// What the daemon can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Live {
    /// Tasks in these states; none: in all.
    Tasks(&'static [State]),
    /// Queued tasks that can be released.
    Releasable,
    Agents,
    Repos,
    Issues,
    Sessions,
    Accounts,
}

impl Live {
    /// What an argument of a command takes.
    fn of(verb: &str, arg: &Arg) -> Option<Self> {
        let value = arg.get_value_names()?.first()?.as_str();
        match (value, arg.get_id().as_str()) {
            // What the caller makes up; what only the agent knows.
            ("ID", "request_id") => None,
            ("ID", _) if verb == "report" => None,
            ("ID" | "ID[.ATTEMPT]" | "ID[:ok|:any]", _) => Some(match verb {
                "cancel" | "kill" | "wait" => Self::Tasks(&ACTIVE_STATES),
                "hold" => Self::Tasks(&[State::Queued]),
                "release" => Self::Releasable,
                "rerun" => Self::Tasks(&UNSUCCESSFUL_STATES),
                _ => Self::Tasks(&[]),
            }),
            ("AGENT", _) | ("NAME", "agent") => Some(Self::Agents),
            ("DIR", "repo") => Some(Self::Repos),
            ("ISSUE", _) => Some(Self::Issues),
            ("SESSION", _) => Some(Self::Sessions),
            ("ACCOUNT", _) => Some(Self::Accounts),
            _ => None,
        }
    }

    /// Values and what is said of each, best first.
    async fn ask(self, client: &Client) -> Result<Vec<(String, String)>, Error> {
        Ok(match self {
            Self::Tasks(states) => {
                let tasks = tasks(client, states).await?;
                let names = [
                    ("@last", "the newest"),
                    ("@last-failed", "the newest failed"),
                ];
                let names = names.map(|(name, what)| (name.to_owned(), what.to_owned()));
                tasks.iter().map(described).chain(names).collect()
            }
            Self::Releasable => {
                let queued = tasks(client, &[State::Queued]).await?;
                queued.iter().filter(is_releasable).map(described).collect()
            }
            Self::Agents => {
                let agents = client.status().await?.agents;
                agents.into_iter().map(|a| (a.name, a.r#type)).collect()
            }
            Self::Repos => distinct(&tasks(client, &[]).await?, |task| &task.repo),
            Self::Issues => distinct(&tasks(client, &[]).await?, |task| &task.issue),
            Self::Sessions => {
                let request = v1::SessionListRequest {
                    page_size: TASKS,
                    ..v1::SessionListRequest::default()
                };
                let sessions = client.session_list(request).await?.sessions;
                sessions.into_iter().map(|s| (s.id, s.agent)).collect()
            }
            Self::Accounts => {
                let accounts = client.quota().await?.accounts;
                let named = accounts.into_iter().map(|a| (a.name, String::new()));
                named.collect()
            }
        })
    }
}

impl ValueCompleter for Live {
    fn complete(&self, typed: &OsStr) -> Vec<CompletionCandidate> {
        let Some(typed) = typed.to_str() else {
            return Vec::new();
        };
        let live = *self;
        let found = asked(async |client| live.ask(&client).await).unwrap_or_default();
        let mut candidates: Vec<CompletionCandidate> = found
            .into_iter()
            // Nothing that would steer the terminal.
            .filter(|(value, _)| value.starts_with(typed) && *value == one_line(value))
            .enumerate()
            .map(|(at, (value, what))| {
                let help = (!what.is_empty()).then(|| one_line(&what).into());
                CompletionCandidate::new(value)
                    .help(help)
                    .display_order(Some(at))
            })
            .collect();
        if live == Self::Repos {
            candidates.extend(PathCompleter::dir().complete(OsStr::new(typed)));
        }
        candidates
    }
}

async fn tasks(client: &Client, states: &[State]) -> Result<Vec<v1::Task>, Error> {
    let filter = v1::Filter {
        states: states.iter().copied().map(i32::from).collect(),
        ..v1::Filter::default()
    };
    let request = v1::ListRequest {
        filter: Some(filter),
        page_size: TASKS,
        ..v1::ListRequest::default()
    };
    Ok(client.list(request).await?.tasks)
}

fn is_releasable(task: &&v1::Task) -> bool {
    let kind = task.hold.as_ref().map(|hold| hold.kind.as_str());
    matches!(kind, Some("held" | "backoff" | "scheduled"))
}

fn described(task: &v1::Task) -> (String, String) {
    let title = cut(&one_line(&task.title), TITLE);
    let what = format!("{} {} {title}", state_word(task.state()), task.agent);
    (task.id.to_string(), what.trim_end().to_owned())
}

fn distinct(tasks: &[v1::Task], name: fn(&v1::Task) -> &String) -> Vec<(String, String)> {
    let names: BTreeSet<&String> = tasks.iter().map(name).collect();
    names
        .into_iter()
        .filter(|name| !name.is_empty())
        .map(|name| (name.clone(), String::new()))
        .collect()
}

/// Asks the daemon, if it is there and quick.
fn asked<T, F>(question: impl FnOnce(Client) -> F) -> Option<T>
where
    F: Future<Output = Result<T, Error>>,
{
    let named = socket_of(env::args().skip_while(|word| word != "--"));
    let sockets = Sockets::choose(
        named.as_deref(),
        &Environment::of_process(),
        &Surroundings::of_process(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let answer = async {
        let client = Client::connect(&sockets).await.ok()?;
        question(client.patient(Duration::ZERO)).await.ok()
    };
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, answer).await })
        .ok()?
}

/// The socket that the words typed so far name.
fn socket_of(words: impl Iterator<Item = String>) -> Option<PathBuf> {
    let mut words = words;
    while let Some(word) = words.next() {
        if word == "--socket" {
            return words.next().map(PathBuf::from);
        }
        if let Some(path) = word.strip_prefix("--socket=") {
            return Some(PathBuf::from(path));
        }
    }
    None
}

/// The tree, with candidates for whatever the daemon knows.
fn with_candidates(tree: Command) -> Command {
    tree.mut_subcommands(|command| {
        let verb = command.get_name().to_owned();
        below(command, &verb)
    })
}

fn below(command: Command, verb: &str) -> Command {
    command
        .mut_args(|arg| match Live::of(verb, &arg) {
            Some(live) => arg.add(ArgValueCompleter::new(live)),
            None => arg,
        })
        .mut_subcommands(|command| below(command, verb))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `verb argument: candidates`, one a line.
    fn offered(command: &Command, verb: &str) -> Vec<String> {
        let own = command.get_arguments().filter_map(|arg| {
            let live = Live::of(verb, arg)?;
            Some(format!("{} {}: {live:?}", command.get_name(), arg.get_id()))
        });
        let inner = command
            .get_subcommands()
            .flat_map(|command| offered(command, verb));
        own.chain(inner).collect()
    }

    #[test]
    fn what_the_daemon_knows_is_offered_wherever_it_is_meant() {
        let tree = crate::cli::command();
        let offered: Vec<String> = tree
            .get_subcommands()
            .flat_map(|command| offered(command, command.get_name()))
            .collect();
        insta::assert_snapshot!(offered.join("\n"));
    }

    #[test]
    fn the_socket_is_the_one_that_is_typed() {
        let of = |words: &[&str]| socket_of(words.iter().map(|word| (*word).to_owned()));
        assert_eq!(of(&["--", "agentctl", "ls"]), None);
        assert_eq!(of(&["agentctl", "--socket", "/s", "ls"]), Some("/s".into()));
        assert_eq!(of(&["agentctl", "--socket=/t", "ls"]), Some("/t".into()));
        assert_eq!(of(&["agentctl", "--socket"]), None);
    }
}
