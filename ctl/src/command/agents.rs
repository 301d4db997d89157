//! `agentctl agents`.

use agentd_proto::v1;
use clap::Args;
use serde::Serialize;

use crate::{
    cli::Context,
    error::{EXIT_OK, Error},
    output::{
        Output,
        json::{AGENTS, Document},
        page::Format,
        table::{Cell, Column, Layout, one_line, render},
    },
};

/// List the agents: their programs, versions and logins, and what they lack.
///
/// Whether an agent is logged in is concluded from its files and variables; its
/// provider may still refuse it.
#[derive(Debug, Args)]
pub(crate) struct Agents {
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

impl Agents {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let agents = cx.client().await?.agents().await?.agents;
        match self.output {
            Format::Json => {
                let agents = agents.into_iter().map(AgentView::from).collect();
                cx.out.json(&Document::new(AGENTS, View { agents }))?;
            }
            Format::Text => show(&mut cx.out, &agents)?,
        }
        Ok(EXIT_OK)
    }
}

/// A table, and below it what is to be done.
fn show(out: &mut Output, agents: &[v1::Agent]) -> Result<(), Error> {
    const COLUMNS: [Column; 8] = [
        Column::flexible("NAME", 6),
        Column::fixed("TYPE"),
        Column::flexible("VERSION", 8),
        Column::fixed("LOGIN"),
        Column::fixed("RUNNING"),
        Column::fixed("SLOTS"),
        Column::fixed("STATE"),
        Column::flexible("PROGRAM", 8),
    ];
    let rows: Vec<Vec<Cell>> = agents
        .iter()
        .map(|agent| {
            vec![
                Cell::from(agent.name.as_str()),
                Cell::from(agent.r#type.as_str()),
                Cell::or_dash(&agent.version),
                Cell::or_dash(login(agent)),
                Cell::from(agent.running.to_string()),
                Cell::from(agent.slots.to_string()),
                Cell::from(state(agent)),
                Cell::or_dash(&agent.program),
            ]
        })
        .collect();
    let layout = Layout {
        width: out.width,
        color: out.color,
        no_headers: false,
    };
    for line in render(&COLUMNS, &rows, layout) {
        out.line(&line)?;
    }
    for agent in agents {
        for trouble in &agent.troubles {
            let what = one_line(&trouble.what);
            out.line(&format!("{}: {what}", one_line(&agent.name)))?;
            out.line(&format!("  hint: {}", one_line(&trouble.hint)))?;
        }
    }
    Ok(())
}

fn login(agent: &v1::Agent) -> &'static str {
    match agent.login() {
        v1::Login::Yes => "yes",
        v1::Login::No => "no",
        v1::Login::Unknown | v1::Login::Unspecified => "",
    }
}

fn state(agent: &v1::Agent) -> &'static str {
    match (agent.paused, agent.troubles.is_empty()) {
        (true, _) => "paused",
        (false, false) => "trouble",
        (false, true) => "ready",
    }
}

/// The agents, for scripts.
#[derive(Debug, Serialize)]
struct View {
    agents: Vec<AgentView>,
}

#[derive(Debug, Serialize)]
struct AgentView {
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
}

#[derive(Debug, Serialize)]
struct TroubleView {
    what: String,
    hint: String,
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
        Self {
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
            troubles: troubles
                .map(|trouble| TroubleView {
                    what: trouble.what,
                    hint: trouble.hint,
                })
                .collect(),
        }
    }
}
