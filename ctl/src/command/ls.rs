//! `agentctl ls`.

mod sort;

use agentd_proto::v1::{self, State};
use clap::{Args, ValueEnum};

use self::sort::{Best, Sort};
use super::{
    at_least_one,
    filter::{FilterArgs, Names, UnsuccessfulArgs},
};
use crate::{
    cli::Context,
    client::Client,
    error::{EXIT_OK, Error},
    output::{
        Output,
        list::{Format, ListArgs},
        tasks::TaskList,
    },
    view::ACTIVE_STATES,
};

/// Most tasks the daemon gives on one page.
const PAGE: usize = 1000;

/// List tasks, newest first.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    #[command(flatten)]
    unsuccessful: UnsuccessfulArgs,

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

    #[command(flatten)]
    filter: FilterArgs,

    /// Show at most so many.
    #[arg(long, default_value_t = 50, value_name = "N")]
    #[arg(value_parser = at_least_one::<u32>)]
    limit: u32,

    /// Show all that match.
    #[arg(long, conflicts_with = "limit")]
    all: bool,

    /// Another order than newest first; all that match are read for it.
    #[arg(long, value_enum, value_name = "KEY")]
    sort: Option<Sort>,

    /// The other way round; without --sort oldest first.
    #[arg(short, long)]
    reverse: bool,

    #[command(flatten)]
    list: ListArgs<v1::Task>,
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
        let format = self.list.format()?;
        let (list, all) = (self.list.clone(), self.all);
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let states = self.states();
        let sort = self.sort.or(self.reverse.then_some(Sort::Created));
        let names = self.filter.names();
        let filter = self.filter.into_filter(states, &mut cx.out)?;
        let client = cx.client().await?;
        let found = if let Some(sort) = sort {
            let limit = if all { usize::MAX } else { limit };
            let best = Best::new(sort, self.reverse, limit, cx.out.now);
            Some(fetch_best(&client, filter, best).await?)
        } else if all {
            fetch_all(&client, filter, format, &mut cx.out).await?
        } else {
            Some(fetch(&client, filter, limit).await?)
        };
        let Some(found) = found else {
            return Ok(EXIT_OK);
        };
        let (none, more, bound) = (found.tasks.is_empty(), found.more, found.more_is_bound);
        cx.out.tasks(found, &list)?;
        if none && format.is_table() {
            cx.out.note("no tasks");
            if let Some(why) = unknown(&client, &names).await {
                cx.out.note(&why);
            }
        } else if more > 0 && format != Format::Name {
            let least = if bound { "at least " } else { "" };
            cx.out.note(&format!(
                "{least}{more} more: --limit N or --all shows them"
            ));
        }
        Ok(EXIT_OK)
    }

    fn states(&self) -> Vec<State> {
        if let Some(states) = self.unsuccessful.states() {
            states
        } else if self.active {
            ACTIVE_STATES.to_vec()
        } else {
            self.state.iter().copied().map(State::from).collect()
        }
    }
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

/// Why there may be none: a slip in a name. That it cannot be told is no error.
async fn unknown(client: &Client, names: &Names) -> Option<String> {
    names.unknown(client).await.ok().flatten()
}

async fn fetch_best(
    client: &Client,
    filter: v1::Filter,
    mut best: Best,
) -> Result<TaskList, Error> {
    let request = v1::ListRequest {
        filter: Some(filter),
        ..v1::ListRequest::default()
    };
    let mut stream = client.list_stream(request).await?;
    while let Some(task) = stream.message().await? {
        best.add(task);
    }
    Ok(best.finish())
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
            Format::Jsonl => out.list_line(task)?,
            Format::Name => out.name(&task)?,
            Format::Table | Format::Wide | Format::Json | Format::Yaml => tasks.push(task),
        }
    }
    Ok(match format {
        Format::Jsonl | Format::Name => None,
        Format::Table | Format::Wide | Format::Json | Format::Yaml => Some(TaskList {
            tasks,
            ..TaskList::default()
        }),
    })
}
