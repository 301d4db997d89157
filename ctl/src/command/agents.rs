//! `agentctl agents`.

use agentd_proto::v1;
use anstyle::AnsiColor;
use clap::Args;
use serde::Serialize;

use crate::{
    cli::Context,
    error::{EXIT_OK, Error},
    output::{
        json::{AGENT, AGENTS, Document},
        list::{ListArgs, Listed},
        style::of_state,
        table::{Cell, Column, Look, Shown, one_line},
    },
    view::state_word,
    when::{between, rfc3339, short},
};

/// List the agents and what they lack.
///
/// Tells their programs, versions and logins, and how their last task ended (-o
/// wide). Whether an agent is logged in is concluded from its files and variables; its
/// provider may still refuse it.
#[derive(Debug, Args)]
pub(crate) struct Agents {
    #[command(flatten)]
    list: ListArgs<v1::Agent>,
}

impl Agents {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let asked = client.agents();
        let told = cx.out.patiently("agentd asks its agents", asked).await?;
        let agents = told.agents;
        let lacks = match self.list.format()?.is_table() {
            true => agents.iter().flat_map(troubles).collect(),
            false => Vec::new(),
        };
        cx.out.list(&self.list, agents, |agents| {
            Document::new(AGENTS, View { agents })
        })?;
        lacks.iter().for_each(|line| cx.out.message(line));
        Ok(EXIT_OK)
    }
}

/// What an agent lacks, and what is to be done.
fn troubles(agent: &v1::Agent) -> impl Iterator<Item = String> {
    let troubles = agent.troubles.iter();
    troubles.map(|trouble| trouble_text(&agent.name, trouble, ""))
}

/// `claude: not logged in`, and what is to be done; `seen` is what is known of when.
pub(super) fn trouble_text(agent: &str, trouble: &v1::agent::Trouble, seen: &str) -> String {
    format!(
        "{}: {}{seen}\n  hint: {}",
        one_line(agent),
        one_line(&trouble.what),
        one_line(&trouble.hint)
    )
}

impl Listed for v1::Agent {
    type View = AgentView;
    const SCHEMA: &'static str = AGENT;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::<Self>::new("name", |agent, _| Cell::from(&agent.name)).cut(6),
        Column::<Self>::new("type", |agent, _| Cell::from(&agent.r#type)),
        Column::<Self>::new("version", |agent, _| Cell::or_dash(&agent.version))
            .cut(8)
            .spare(2),
        Column::<Self>::new("login", |agent, _| Cell::or_dash(login(agent))),
        Column::<Self>::number("running", |agent, _| Cell::number(agent.running)),
        Column::<Self>::number("slots", |agent, _| Cell::number(agent.slots)),
        Column::<Self>::number("queued", |agent, _| Cell::number(agent.queued)).shown(Shown::Wide),
        Column::<Self>::new("state", |agent, _| {
            state_cell(agent.paused, !agent.troubles.is_empty())
        }),
        Column::<Self>::new("account", |agent, _| Cell::or_dash(&agent.account)).shown(Shown::Wide),
        Column::<Self>::new("last", last).shown(Shown::Wide),
        Column::<Self>::new("model", |agent, _| Cell::or_dash(&agent.model)).shown(Shown::Wide),
        Column::<Self>::new("program", |agent, _| Cell::or_dash(&agent.program))
            .cut(8)
            .spare(1),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }
}

fn login(agent: &v1::Agent) -> &'static str {
    match agent.login() {
        v1::Login::Yes => "yes",
        v1::Login::No => "no",
        v1::Login::Unknown | v1::Login::Unspecified => "",
    }
}

/// Whether it would be given tasks, and could do them.
pub(super) fn state_cell(paused: bool, trouble: bool) -> Cell {
    match (paused, trouble) {
        (true, _) => Cell::styled("paused", AnsiColor::Yellow.on_default()),
        (false, true) => Cell::styled("trouble", AnsiColor::Red.on_default()),
        (false, false) => Cell::styled("ready", AnsiColor::Green.on_default()),
    }
}

/// `failed 3m ago (42)`.
fn last(agent: &v1::Agent, look: &Look) -> Cell {
    let Some(last) = &agent.last else {
        return Cell::or_dash("");
    };
    let state = last.state();
    let ago = between(last.ended_at, look.now.as_millisecond()).map(short);
    let ago = ago.unwrap_or_default();
    let text = format!("{} {ago} ago ({})", state_word(state), last.task);
    Cell::styled(text, of_state(state))
}

/// The agents, for scripts.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct View {
    agents: Vec<AgentView>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AgentView {
    name: String,
    r#type: String,
    program: Option<String>,
    version: Option<String>,
    /// `null`: that cannot be seen.
    logged_in: Option<bool>,
    login_by: Option<String>,
    slots: u32,
    running: u32,
    queued: u64,
    paused: bool,
    account: String,
    model: Option<String>,
    permissions: Option<String>,
    troubles: Vec<TroubleView>,
    /// The task of it that ended last; `null`: none that is still known.
    last_task: Option<LastTaskView>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct LastTaskView {
    id: u64,
    state: &'static str,
    failure_reason: Option<String>,
    finished_at: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct TroubleView {
    what: String,
    hint: String,
}

impl From<v1::agent::Trouble> for TroubleView {
    fn from(trouble: v1::agent::Trouble) -> Self {
        Self {
            what: trouble.what,
            hint: trouble.hint,
        }
    }
}

impl From<v1::Agent> for AgentView {
    fn from(agent: v1::Agent) -> Self {
        let logged_in = match agent.login() {
            v1::Login::Yes => Some(true),
            v1::Login::No => Some(false),
            v1::Login::Unknown | v1::Login::Unspecified => None,
        };
        let some = |text: String| (!text.is_empty()).then_some(text);
        let troubles = agent.troubles.into_iter();
        let last_task = agent.last.map(|last| LastTaskView {
            id: last.task,
            state: state_word(last.state()),
            finished_at: rfc3339(last.ended_at),
            failure_reason: some(last.failure_reason),
        });
        Self {
            last_task,
            name: agent.name,
            r#type: agent.r#type,
            program: some(agent.program),
            version: some(agent.version),
            logged_in,
            login_by: some(agent.login_by),
            slots: agent.slots,
            running: agent.running,
            queued: agent.queued,
            paused: agent.paused,
            account: agent.account,
            model: some(agent.model),
            permissions: some(agent.permissions),
            troubles: troubles.map(TroubleView::from).collect(),
        }
    }
}
