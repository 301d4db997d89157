//! Which tasks a command is about, where it takes no ids: `ls` and the bulk
//! `rerun`.

use std::path::{Path, PathBuf};

use agentd_proto::v1::{self, State};
use clap::Args;
use jiff::tz::TimeZone;

use super::{
    given,
    task::{bare_name, parse_label, unique_labels},
};
use crate::{
    client::Client,
    error::Error,
    output::Output,
    view::{FAILED_STATES, UNSUCCESSFUL_STATES},
    when::When,
};

/// Tasks that ended without success. In the group `which`, as whatever else
/// a command has to choose states by.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct UnsuccessfulArgs {
    /// Only tasks that failed, were interrupted or aborted.
    #[arg(long, group = "which")]
    failed: bool,

    /// As --failed, and those that were cancelled: all that can be rerun.
    #[arg(long, group = "which")]
    unsuccessful: bool,
}

impl UnsuccessfulArgs {
    /// The states; `None` if neither was given.
    pub(crate) fn states(self) -> Option<Vec<State>> {
        match (self.failed, self.unsuccessful) {
            (true, _) => Some(FAILED_STATES.to_vec()),
            (false, true) => Some(UNSUCCESSFUL_STATES.to_vec()),
            (false, false) => None,
        }
    }
}

/// Everything to choose tasks by but their states.
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// Only tasks of this agent.
    #[arg(short, long, value_name = "NAME", value_parser = given)]
    agent: Option<String>,

    /// Only tasks in this repository, or the one of this name in the configuration.
    #[arg(short = 'C', long, value_name = "DIR")]
    repo: Option<PathBuf>,

    /// Only tasks about this issue.
    #[arg(long, value_name = "ISSUE", value_parser = given)]
    issue: Option<String>,

    /// Only tasks with this label; may be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    labels: Vec<(String, String)>,

    /// Only tasks submitted since then: 2h, 2026-03-01, 2026-03-01T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<When>,

    /// Only tasks submitted before then.
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
}

/// What was given by a name in which a slip is easy.
#[derive(Debug, Default)]
pub(crate) struct Names {
    agent: Option<String>,
    repo: Option<PathBuf>,
}

/// Tasks in which the repositories that there are are looked for.
const RECENT: u32 = 100;

impl Names {
    /// Only this agent.
    pub(crate) fn of_agent(agent: &str) -> Self {
        Self {
            agent: Some(agent.to_owned()),
            repo: None,
        }
    }

    /// What is not known to the daemon, and what may have been meant.
    ///
    /// # Errors
    /// The daemon's.
    pub(crate) async fn unknown(&self, client: &Client) -> Result<Option<String>, Error> {
        if let Some(agent) = &self.agent {
            let agents = client.status().await?.agents;
            let names: Vec<String> = agents.into_iter().map(|agent| agent.name).collect();
            if !names.contains(agent) {
                return Ok(Some(missing("there is no agent", agent, &names)));
            }
        }
        if let Some(repo) = self.repo.as_deref() {
            let repo = repo_name(repo)?;
            let recent = v1::ListRequest {
                page_size: RECENT,
                ..v1::ListRequest::default()
            };
            let tasks = client.list(recent).await?.tasks;
            let names: Vec<String> = tasks.into_iter().map(|task| task.repo).collect();
            if !names.contains(&repo) {
                return Ok(Some(missing("no recent task is in", &repo, &names)));
            }
        }
        Ok(None)
    }
}

fn missing(what: &str, name: &str, names: &[String]) -> String {
    match nearest(name, names) {
        Some(near) => format!("{what} {name}: did you mean {near}?"),
        None => format!("{what} {name}"),
    }
}

/// The one that was probably meant.
fn nearest<'a>(name: &str, names: &'a [String]) -> Option<&'a str> {
    // As near as clap wants it for verbs and flags.
    const NEAR: f64 = 0.7;
    let near = |other: &'a String| (strsim::jaro(name, other), other.as_str());
    let near = names
        .iter()
        .map(near)
        .filter(|&(likeness, _)| likeness > NEAR);
    let best = near.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map(|(_, name)| name)
}

impl FilterArgs {
    /// The names in it.
    pub(crate) fn names(&self) -> Names {
        Names {
            agent: self.agent.clone(),
            repo: self.repo.clone(),
        }
    }

    /// For the interface; no states are all states.
    ///
    /// # Errors
    /// A label twice, or a path that cannot be named.
    pub(crate) fn into_filter(
        self,
        states: Vec<State>,
        out: &mut Output,
    ) -> Result<v1::Filter, Error> {
        let now = out.now;
        let mut millis = |when: Option<When>| {
            when.map_or(0, |when| match when {
                When::Local(_) => when.as_millis(now, &out.zone()),
                When::Ago(_) | When::At(_) => when.as_millis(now, &TimeZone::UTC),
            })
        };
        let (since, until) = (millis(self.since), millis(self.until));
        Ok(v1::Filter {
            states: states.into_iter().map(i32::from).collect(),
            agent: self.agent.unwrap_or_default(),
            repo: self
                .repo
                .as_deref()
                .map(repo_name)
                .transpose()?
                .unwrap_or_default(),
            issue: self.issue.unwrap_or_default(),
            labels: unique_labels(self.labels)?,
            since,
            until,
        })
    }
}

/// The canonical path, or a name; of a repository that is gone, as good as can be told.
fn repo_name(path: &Path) -> Result<String, Error> {
    let real = path.canonicalize();
    // The daemon knows the names in its configuration.
    if let (Err(_), Some(name)) = (&real, bare_name(path)) {
        return Ok(name);
    }
    let real = real
        .or_else(|_| std::path::absolute(path))
        .map_err(|error| Error::usage("cannot use the repository").because(error))?;
    real.into_os_string()
        .into_string()
        .map_err(|_| Error::usage("the repository's path is not UTF-8"))
}
