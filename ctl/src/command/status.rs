//! `agentctl status`.

mod notices;

use agentd_proto::v1;
use clap::Args;
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use self::notices::{NoticesView, notices_text};
use super::{
    agents::{TroubleView, state_cell, trouble_text},
    quota::{AccountView, until},
};
use crate::{
    cli::Context,
    error::{EXIT_OK, Error},
    output::{
        Output,
        json::{Document, STATUS},
        page::{Format, Page, bytes},
        table::{Cell, Column, Layout, render},
    },
    when::{between, rfc3339, short},
};

/// Show how the daemon is: version, phase, tasks, agents, recovery.
///
/// What agents lack is as it was last seen: at the start of the daemon, after a
/// reload, or by agentctl agents, which looks anew.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

impl Status {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let status = cx.client().await?.status().await?;
        match self.output.script() {
            Some(script) => {
                let document = Document::new(STATUS, View::from(status));
                cx.out.document(script, &document)?;
            }
            None => show(&mut cx.out, &status)?,
        }
        Ok(EXIT_OK)
    }
}

fn show(out: &mut Output, status: &v1::StatusResponse) -> Result<(), Error> {
    let mut page = Page::new(out.color, out.now, out.zone());
    let paused = if status.paused { ", paused" } else { "" };
    page.field(
        "agentd",
        &format!("{} ({}{paused})", status.version, status.phase),
    );
    page.field("trouble", &status.trouble);
    page.field("pid", &status.pid.to_string());
    page.field("incarnation", &status.incarnation.to_string());
    page.time("started", status.started_at);
    page.field("tasks", &counts(status));
    page.field("slots", &status.slots.to_string());
    let zone = out.zone();
    page.field("quota", &quota_text(&status.parked, out.now, &zone));
    for notices in &status.notices {
        page.field("notices", &notices_text(notices, &zone));
    }
    if let Some(recovery) = &status.recovery {
        page.field("recovery", &recovery_text(recovery));
    }
    page.field("socket", &status.socket);
    page.field("state", &status.state_dir);
    page.field("free", &free_text(status));
    page.field("store", &bytes(status.store_bytes));
    page.time("last backup", status.backup_at);
    if let Some(host) = &status.host {
        page.field("load", &load_text(host));
        page.field("memory", &memory_text(host));
        page.field("pressure", &pressure_text(host));
    }
    page.field("config", &status.config);
    if !status.agents.is_empty() {
        page.section("agents");
    }
    out.bytes(page.into_text().as_bytes())?;
    agents(out, &status.agents)?;
    let now = out.now.as_millisecond();
    let mut lacks = status.agents.iter().flat_map(|agent| lacks(agent, now));
    lacks.try_for_each(|text| {
        text.lines()
            .try_for_each(|line| out.line(&format!("  {line}")))
    })
}

/// What an agent lacked when it was last looked at, and what is to be done.
fn lacks(agent: &v1::AgentStatus, now: i64) -> impl Iterator<Item = String> {
    let seen = between(agent.surveyed_at, now).map(short);
    let seen = seen.map_or_else(String::new, |ago| format!(" (seen {ago} ago)"));
    let name = &agent.name;
    let troubles = agent.troubles.iter();
    troubles.map(move |trouble| trouble_text(name, trouble, &seen))
}

fn free_text(status: &v1::StatusResponse) -> String {
    match status.state_free {
        0 => String::new(),
        free => format!(
            "{}; nothing is started below {}",
            bytes(free),
            bytes(status.min_free_disk)
        ),
    }
}

/// `0.52 0.31 0.20 on 8 CPUs`.
fn load_text(host: &v1::Host) -> String {
    format!(
        "{:.2} {:.2} {:.2} on {} CPUs",
        host.load1, host.load5, host.load15, host.cpus
    )
}

fn memory_text(host: &v1::Host) -> String {
    match host.memory {
        0 => String::new(),
        all => format!(
            "{} of {} available",
            bytes(host.memory_available),
            bytes(all)
        ),
    }
}

/// What of the last 10 seconds was lost by waiting.
fn pressure_text(host: &v1::Host) -> String {
    let told = [
        ("cpu", &host.cpu_pressure),
        ("memory", &host.memory_pressure),
        ("io", &host.io_pressure),
    ];
    let told = told.into_iter().filter_map(|(name, pressure)| {
        let share = pressure.as_ref()?.some10;
        Some(format!("{name} {share:.1} %"))
    });
    told.collect::<Vec<_>>().join(", ")
}

fn counts(status: &v1::StatusResponse) -> String {
    format!(
        "{} queued, {} starting, {} running, {} stopping",
        status.queued, status.starting, status.running, status.stopping
    )
}

/// `1 account waits: team-a until 2026-03-01 12:00:35 (in 5m)`.
fn quota_text(parked: &[v1::Account], now: Timestamp, zone: &TimeZone) -> String {
    let names: Vec<String> = parked
        .iter()
        .map(|account| format!("{} until {}", account.name, until(account, now, zone)))
        .collect();
    match names.len() {
        0 => String::new(),
        1 => format!("1 account waits: {}", names.join("")),
        count => format!("{count} accounts wait: {}", names.join(", ")),
    }
}

fn recovery_text(recovery: &v1::Recovery) -> String {
    if recovery.total == 0 {
        return "nothing was left behind".to_owned();
    }
    let mut text = format!("{} of {} resolved", recovery.resolved, recovery.total);
    for (count, what) in [
        (recovery.adopted, "adopted"),
        (recovery.finished, "finished"),
        (recovery.reaped, "reaped"),
        (recovery.never_started, "not started yet"),
        (recovery.unknown, "unknown"),
        (
            recovery.held,
            "look dead, too many to be believed: see agentctl recover",
        ),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

fn agents(out: &mut Output, agents: &[v1::AgentStatus]) -> Result<(), Error> {
    const COLUMNS: [Column<v1::AgentStatus>; 6] = [
        Column::<v1::AgentStatus>::new("name", |agent, _| Cell::from(&agent.name)).cut(6),
        Column::<v1::AgentStatus>::new("type", |agent, _| Cell::or_dash(&agent.r#type)),
        Column::<v1::AgentStatus>::number("running", |agent, _| Cell::number(agent.running)),
        Column::<v1::AgentStatus>::number("slots", |agent, _| Cell::number(agent.slots)),
        Column::<v1::AgentStatus>::number("queued", |agent, _| Cell::number(agent.queued)),
        Column::<v1::AgentStatus>::new("state", |agent, _| {
            state_cell(agent.paused, !agent.troubles.is_empty())
        }),
    ];
    if agents.is_empty() {
        return Ok(());
    }
    let layout = Layout {
        width: out.width.map(|width| width.saturating_sub(2)),
        color: out.color,
        no_headers: false,
    };
    let look = out.look(false);
    render(&COLUMNS.each_ref(), agents, &look, layout)
        .iter()
        .try_for_each(|line| out.line(&format!("  {line}")))
}

/// The daemon, for scripts.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct View {
    version: String,
    phase: String,
    paused: bool,
    pid: u32,
    incarnation: u64,
    started_at: Option<String>,
    queued: u64,
    starting: u64,
    running: u64,
    stopping: u64,
    slots: u32,
    agents: Vec<AgentView>,
    recovery: Option<RecoveryView>,
    socket: String,
    state_dir: String,
    config: Option<String>,
    store_bytes: u64,
    revision: u64,
    trouble: Option<String>,
    parked_accounts: Vec<AccountView>,
    state_free_bytes: Option<u64>,
    min_free_disk_bytes: u64,
    backup: Option<BackupView>,
    host: Option<HostView>,
    /// How people are told of ends; empty if they are not.
    notices: Vec<NoticesView>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct BackupView {
    path: String,
    at: Option<String>,
    bytes: u64,
}

/// The machine; pressures are per cent of the time.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct HostView {
    load: [f64; 3],
    cpus: u32,
    memory_bytes: Option<u64>,
    memory_available_bytes: Option<u64>,
    cpu_pressure: Option<PressureView>,
    memory_pressure: Option<PressureView>,
    io_pressure: Option<PressureView>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PressureView {
    some_avg10: f64,
    some_avg60: f64,
    full_avg10: f64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct AgentView {
    name: String,
    r#type: String,
    paused: bool,
    slots: u32,
    running: u32,
    queued: u64,
    /// What it lacked when it was last looked at, and when that was; `null`: not
    /// yet.
    troubles: Vec<TroubleView>,
    surveyed_at: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RecoveryView {
    total: u64,
    resolved: u64,
    adopted: u64,
    finished: u64,
    reaped: u64,
    unknown: u64,
    never_started: u64,
    held: u64,
}

impl From<v1::StatusResponse> for View {
    fn from(status: v1::StatusResponse) -> Self {
        let backup = (status.backup_at != 0).then(|| BackupView {
            path: status.backup.clone(),
            at: rfc3339(status.backup_at),
            bytes: status.backup_bytes,
        });
        Self {
            version: status.version,
            phase: status.phase,
            paused: status.paused,
            pid: status.pid,
            incarnation: status.incarnation,
            started_at: rfc3339(status.started_at),
            queued: status.queued,
            starting: status.starting,
            running: status.running,
            stopping: status.stopping,
            slots: status.slots,
            agents: status.agents.into_iter().map(AgentView::from).collect(),
            recovery: status.recovery.map(RecoveryView::from),
            socket: status.socket,
            state_dir: status.state_dir,
            config: (!status.config.is_empty()).then_some(status.config),
            store_bytes: status.store_bytes,
            revision: status.revision,
            trouble: (!status.trouble.is_empty()).then_some(status.trouble),
            parked_accounts: status.parked.into_iter().map(AccountView::from).collect(),
            state_free_bytes: (status.state_free != 0).then_some(status.state_free),
            min_free_disk_bytes: status.min_free_disk,
            backup,
            host: status.host.map(HostView::from),
            notices: status.notices.into_iter().map(NoticesView::from).collect(),
        }
    }
}

impl From<v1::Host> for HostView {
    fn from(host: v1::Host) -> Self {
        let known = (host.memory != 0).then_some(());
        Self {
            load: [host.load1, host.load5, host.load15],
            cpus: host.cpus,
            memory_bytes: known.map(|()| host.memory),
            memory_available_bytes: known.map(|()| host.memory_available),
            cpu_pressure: host.cpu_pressure.map(PressureView::from),
            memory_pressure: host.memory_pressure.map(PressureView::from),
            io_pressure: host.io_pressure.map(PressureView::from),
        }
    }
}

impl From<v1::host::Pressure> for PressureView {
    fn from(pressure: v1::host::Pressure) -> Self {
        Self {
            some_avg10: pressure.some10,
            some_avg60: pressure.some60,
            full_avg10: pressure.full10,
        }
    }
}

impl From<v1::AgentStatus> for AgentView {
    fn from(agent: v1::AgentStatus) -> Self {
        Self {
            name: agent.name,
            r#type: agent.r#type,
            paused: agent.paused,
            slots: agent.slots,
            running: agent.running,
            queued: agent.queued,
            surveyed_at: rfc3339(agent.surveyed_at),
            troubles: agent.troubles.into_iter().map(TroubleView::from).collect(),
        }
    }
}

impl From<v1::Recovery> for RecoveryView {
    fn from(recovery: v1::Recovery) -> Self {
        Self {
            total: recovery.total,
            resolved: recovery.resolved,
            adopted: recovery.adopted,
            finished: recovery.finished,
            reaped: recovery.reaped,
            unknown: recovery.unknown,
            never_started: recovery.never_started,
            held: recovery.held,
        }
    }
}
