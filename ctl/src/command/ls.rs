//! `agentctl ls`.

use std::path::{Path, PathBuf};

use agentd_proto::v1::{self, State};
use clap::{Args, ValueEnum};

use super::{
    given,
    task::{parse_label, unique_labels},
};
use crate::{
    cli::Context,
    client::Client,
    error::{EXIT_OK, Error},
    output::{
        Output,
        tasks::{Format, ListArgs, TaskList},
    },
    view::{ACTIVE_STATES, FAILED_STATES},
    when::When,
};

/// Most tasks the daemon gives on one page.
const PAGE: usize = 1000;

/// List tasks, newest first.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// Only tasks that failed, were interrupted or aborted.
    #[arg(long, group = "which")]
    failed: bool,

    /// As --failed, and those that were cancelled: all that can be rerun.
    #[arg(long, group = "which")]
    unsuccessful: bool,

    /// Only tasks that have not ended.
    #[arg(long, group = "which")]
    active: bool,

    /// Only tasks in these states; may be given several times.
    #[arg(
        long,
        group = "which",
        value_enum,
        value_name = "STATE",
        value_delimiter = ','
    )]
    state: Vec<StateArg>,

    /// Only tasks of this agent.
    #[arg(short, long, value_name = "NAME", value_parser = given)]
    agent: Option<String>,

    /// Only tasks in this repository.
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

    /// Show at most so many.
    #[arg(long, default_value_t = 50, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Show all that match.
    #[arg(long, conflicts_with = "limit")]
    all: bool,

    #[command(flatten)]
    list: ListArgs,
}

/// The states by their words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StateArg {
    Queued,
    Starting,
    Running,
    Stopping,
    Succeeded,
    Failed,
    Cancelled,
    Interrupted,
    Aborted,
}

impl From<StateArg> for State {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Queued => Self::Queued,
            StateArg::Starting => Self::Starting,
            StateArg::Running => Self::Running,
            StateArg::Stopping => Self::Stopping,
            StateArg::Succeeded => Self::Succeeded,
            StateArg::Failed => Self::Failed,
            StateArg::Cancelled => Self::Cancelled,
            StateArg::Interrupted => Self::Interrupted,
            StateArg::Aborted => Self::Aborted,
        }
    }
}

impl Ls {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let (list, all) = (self.list, self.all);
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let filter = self.into_filter(&mut cx.out)?;
        let client = cx.client().await?;
        let found = if all {
            fetch_all(&client, filter, list.format(), &mut cx.out).await?
        } else {
            Some(fetch(&client, filter, limit).await?)
        };
        let Some(found) = found else {
            return Ok(EXIT_OK);
        };
        let (none, more, bound) = (found.tasks.is_empty(), found.more, found.more_is_bound);
        cx.out.tasks(found, list)?;
        if none {
            cx.out.note("no tasks");
        } else if more > 0 {
            let least = if bound { "at least " } else { "" };
            cx.out.note(&format!(
                "{least}{more} more: --limit N or --all shows them"
            ));
        }
        Ok(EXIT_OK)
    }

    fn into_filter(self, out: &mut Output) -> Result<v1::Filter, Error> {
        let now = out.now;
        let mut millis = |when: Option<When>| {
            when.map_or(0, |when| match when {
                When::Local(_) => when.as_millis(now, &out.zone()),
                When::Ago(_) | When::At(_) => when.as_millis(now, &jiff::tz::TimeZone::UTC),
            })
        };
        let (since, until) = (millis(self.since), millis(self.until));
        Ok(v1::Filter {
            states: self.states().into_iter().map(i32::from).collect(),
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

    fn states(&self) -> Vec<State> {
        if self.failed {
            FAILED_STATES.to_vec()
        } else if self.unsuccessful {
            let cancelled = std::iter::once(State::Cancelled);
            FAILED_STATES.into_iter().chain(cancelled).collect()
        } else if self.active {
            ACTIVE_STATES.to_vec()
        } else {
            self.state.iter().copied().map(State::from).collect()
        }
    }
}

/// The canonical path; of a repository that is gone, as good as can be told.
fn repo_name(path: &Path) -> Result<String, Error> {
    let real = path
        .canonicalize()
        .or_else(|_| std::path::absolute(path))
        .map_err(|error| Error::usage("cannot use the repository").because(error))?;
    real.into_os_string()
        .into_string()
        .map_err(|_| Error::usage("the repository's path is not UTF-8"))
}

async fn fetch(client: &Client, filter: v1::Filter, limit: usize) -> Result<TaskList, Error> {
    let mut list = TaskList::default();
    let mut page_token = String::new();
    loop {
        let page_size = (limit - list.tasks.len()).min(PAGE);
        let request = v1::ListRequest {
            filter: Some(filter.clone()),
            page_size: u32::try_from(page_size).unwrap_or(u32::MAX),
            page_token,
        };
        let page = client.list(request).await?;
        list.tasks.extend(page.tasks);
        list.more = page.more;
        list.more_is_bound = page.more_is_bound;
        page_token = page.next_page_token;
        if page_token.is_empty() || list.tasks.len() >= limit {
            return Ok(list);
        }
    }
}

/// Formats of one line a task are printed as they come; the others need all.
async fn fetch_all(
    client: &Client,
    filter: v1::Filter,
    format: Format,
    out: &mut Output,
) -> Result<Option<TaskList>, Error> {
    let request = v1::ListRequest {
        filter: Some(filter),
        ..v1::ListRequest::default()
    };
    let mut stream = client.list_stream(request).await?;
    let mut tasks = Vec::new();
    while let Some(task) = stream.message().await? {
        match format {
            Format::Jsonl => out.task_json(task)?,
            Format::Name => out.line(&task.id.to_string())?,
            Format::Table | Format::Wide | Format::Json => tasks.push(task),
        }
    }
    Ok(match format {
        Format::Jsonl | Format::Name => None,
        Format::Table | Format::Wide | Format::Json => Some(TaskList {
            tasks,
            ..TaskList::default()
        }),
    })
}
