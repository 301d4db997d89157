//! `agentctl sessions`.

use agentd_proto::v1;
use clap::{Args, Subcommand, ValueEnum};

use super::{filter::Names, given};
use crate::{
    cli::Context,
    error::{EXIT_OK, Error},
    output::{
        json::{Document, SESSION},
        list::ListArgs,
        page::{Format, Page},
        sessions::{SessionList, SessionView},
    },
};

/// Show the conversations that agents can go on with, and drop some.
///
/// A retry and a rerun go on in the session of the attempt before, a new task in
/// the newest usable one of its agent, repository and issue. `agentctl explain`
/// says which one an attempt was given, and why.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Sessions {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    ls: Ls,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List sessions, the ones that were worked in last first.
    #[command(visible_alias = "list")]
    Ls(Ls),
    Show(Show),
    Forget(Forget),
}

#[derive(Debug, Args)]
struct Ls {
    /// Only those of this agent.
    #[arg(short, long, value_name = "AGENT", value_parser = given)]
    agent: Option<String>,

    /// Only those in these states; may be given several times.
    #[arg(long, value_enum, value_name = "STATE", value_delimiter = ',')]
    state: Vec<StandingArg>,

    /// Show at most so many.
    #[arg(long, default_value_t = 50, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,

    #[command(flatten)]
    list: ListArgs<v1::Session>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StandingArg {
    Good,
    Unverified,
    Quarantined,
    Retired,
}

impl StandingArg {
    fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unverified => "unverified",
            Self::Quarantined => "quarantined",
            Self::Retired => "retired",
        }
    }
}

/// Which session is meant.
#[derive(Debug, Args)]
struct Which {
    /// The agent's own name for it.
    #[arg(value_name = "SESSION", value_parser = given)]
    id: String,

    /// Its agent, if several have one of this name.
    #[arg(short, long, value_name = "AGENT", value_parser = given)]
    agent: Option<String>,
}

/// Show everything about a session.
#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    which: Which,

    /// How to print it.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Resume nothing in a session any more.
///
/// What the agent keeps of it is not touched.
#[derive(Debug, Args)]
struct Forget {
    #[command(flatten)]
    which: Which,
}

impl Sessions {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        match self.command {
            None => self.ls.run(cx).await,
            Some(Command::Ls(args)) => args.run(cx).await,
            Some(Command::Show(args)) => args.run(cx).await,
            Some(Command::Forget(args)) => args.run(cx).await,
        }
    }
}

impl Ls {
    async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let standings = self.state.iter().map(|state| state.as_str().to_owned());
        let names = self.agent.as_deref().map(Names::of_agent);
        let client = cx.client().await?;
        let request = v1::SessionListRequest {
            agent: self.agent.unwrap_or_default(),
            standings: standings.collect(),
            page_size: self.limit,
        };
        let answer = client.session_list(request).await?;
        let (none, more, bound) = (
            answer.sessions.is_empty(),
            answer.more,
            answer.more_is_bound,
        );
        let table = self.list.format()?.is_table();
        cx.out.sessions(SessionList::from(answer), &self.list)?;
        if none && table {
            cx.out.note("no sessions");
            // That it cannot be told is no error.
            if let Some(names) = names
                && let Ok(Some(why)) = names.unknown(&client).await
            {
                cx.out.note(&why);
            }
        } else if more > 0 {
            let least = if bound { "at least " } else { "" };
            cx.out
                .note(&format!("{least}{more} more: --limit N shows them"));
        }
        Ok(EXIT_OK)
    }
}

impl From<Which> for v1::SessionRequest {
    fn from(which: Which) -> Self {
        Self {
            id: which.id,
            agent: which.agent.unwrap_or_default(),
        }
    }
}

impl Show {
    async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let session = cx.client().await?.session_show(self.which.into()).await?;
        if let Some(script) = self.output.script() {
            let document = Document::new(SESSION, SessionView::from(session));
            cx.out.document(script, &document)?;
            return Ok(EXIT_OK);
        }
        let mut page = Page::new(cx.out.color, cx.out.now, cx.out.zone());
        page.session(&session);
        cx.out.bytes(page.into_text().as_bytes())?;
        Ok(EXIT_OK)
    }
}

impl Forget {
    async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let session = cx.client().await?.session_forget(self.which.into()).await?;
        cx.out.message(&format!(
            "session {} of agent {} is forgotten: nothing goes on with it",
            session.id, session.agent
        ));
        Ok(EXIT_OK)
    }
}
