//! `agentctl explain`.

use agentd_proto::v1;
use clap::Args;
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::{
    cli::Context,
    error::{EXIT_OK, Error},
    id::{TaskRef, resolve},
    output::{
        json::{Document, EXPLANATION},
        page::Format,
        style::{DIM, HEAD, of_state, paint},
        table::one_line,
    },
    story::{Step, next, outcome, steps},
    view::{AttemptView, EventView, RelativeView, TaskView, state_word},
    when::{local, rfc3339},
};

/// Tell how a task came to be as it is, and what happens next.
///
/// Why it waits and what lifts that, what its attempts were given, what a
/// restart of the daemon found, and why another attempt was made or was not.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The task: 42, @last, @last-failed.
    #[arg(value_name = "ID")]
    id: TaskRef,

    /// How to print it.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

impl Explain {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let id = resolve(&client, self.id).await?;
        let told = client.explain(id).await?;
        let (now, zone) = (cx.out.now, cx.out.zone());
        if let Some(script) = self.output.script() {
            let view = View::of(told, now, &zone);
            cx.out.document(script, &Document::new(EXPLANATION, view))?;
            return Ok(EXIT_OK);
        }
        let text = page(&told, now, &zone, cx.out.color);
        cx.out.bytes(text.as_bytes())?;
        Ok(EXIT_OK)
    }
}

/// The story for a person: a line for each thing, its time in front.
pub(crate) fn page(
    told: &v1::ExplainResponse,
    now: Timestamp,
    zone: &TimeZone,
    color: bool,
) -> String {
    let task = told.task.clone().unwrap_or_default();
    let state = paint(of_state(task.state()), state_word(task.state()), color);
    let head = paint(HEAD, &format!("task {}", task.id), color);
    let mut text = format!("{head}  {state}  {}\n", one_line(&task.title));
    if !told.ancestors.is_empty() {
        let chain: Vec<String> = told
            .ancestors
            .iter()
            .map(|before| format!("{} ({})", before.task, outcome(before)))
            .chain([format!("{} (this one)", task.id)])
            .collect();
        text.push_str(&format!("reruns: {}\n", chain.join(" > ")));
    }
    text.push('\n');
    if told.events_left_out > 0 {
        let more = format!("({} older events do not fit)", told.events_left_out);
        text.push_str(&paint(DIM, &more, color));
        text.push('\n');
    }
    for step in steps(told) {
        let at = paint(DIM, &local(step.at, zone).unwrap_or_default(), color);
        let who = match step.attempt {
            Some(attempt) => format!("{}.{attempt}", task.id),
            None => task.id.to_string(),
        };
        text.push_str(&format!("{at}  {who:<6}  {}\n", one_line(&step.text)));
    }
    text.push('\n');
    let head = paint(HEAD, "now", color);
    let lines = next(told, now, zone);
    text.push_str(&format!("{head}\n"));
    for line in lines {
        text.push_str(&format!("  {}\n", one_line(&line)));
    }
    text
}

/// The story for a script.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct View {
    task: TaskView,
    attempts: Vec<AttemptView>,
    events: Vec<EventView>,
    events_left_out: u64,
    sequels: Vec<SequelView>,
    /// Of the attempt that is under way.
    expected: Option<SequelView>,
    waits: Vec<WaitView>,
    ancestors: Vec<RelativeView>,
    /// The tasks of its lineage that came after it; the newest 10.
    reruns: Vec<RelativeView>,
    key_holder: Option<RelativeView>,
    daemon_phase: String,
    disk_free_bytes: Option<u64>,
    disk_needed_bytes: Option<u64>,
    /// What `-o text` says; the words may change.
    story: Vec<Step>,
    next: Vec<String>,
}

/// Whether another attempt follows one, and why.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SequelView {
    attempt: u32,
    follows: String,
    why: Option<String>,
    failure_reason: Option<String>,
    class: Option<String>,
    spent: u32,
    max_attempts: u32,
    lost_streak: u32,
    max_lost_streak: u32,
    longest_backoff_ms: u64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WaitView {
    kind: String,
    at: Option<String>,
}

fn text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl View {
    pub(crate) fn of(told: v1::ExplainResponse, now: Timestamp, zone: &TimeZone) -> Self {
        let (story, next) = (steps(&told), next(&told, now, zone));
        let disk = (told.disk_needed != 0).then_some((told.disk_free, told.disk_needed));
        Self {
            task: TaskView::from(told.task.unwrap_or_default()),
            attempts: told.attempts.into_iter().map(AttemptView::from).collect(),
            events: told.events.into_iter().map(EventView::from).collect(),
            events_left_out: told.events_left_out,
            sequels: told.sequels.into_iter().map(SequelView::from).collect(),
            expected: told.expected.map(SequelView::from),
            waits: told.waits.into_iter().map(WaitView::from).collect(),
            ancestors: told.ancestors.into_iter().map(RelativeView::from).collect(),
            reruns: told.reruns.into_iter().map(RelativeView::from).collect(),
            key_holder: told.key_holder.map(RelativeView::from),
            daemon_phase: told.phase,
            disk_free_bytes: disk.map(|(free, _)| free),
            disk_needed_bytes: disk.map(|(_, needed)| needed),
            story,
            next,
        }
    }
}

impl From<v1::Sequel> for SequelView {
    fn from(sequel: v1::Sequel) -> Self {
        Self {
            attempt: sequel.attempt,
            follows: sequel.follows,
            why: text(sequel.why),
            failure_reason: text(sequel.reason),
            class: text(sequel.class),
            spent: sequel.spent,
            max_attempts: sequel.max_attempts,
            lost_streak: sequel.lost_streak,
            max_lost_streak: sequel.max_lost_streak,
            longest_backoff_ms: sequel.longest_backoff,
        }
    }
}

impl From<v1::Wait> for WaitView {
    fn from(wait: v1::Wait) -> Self {
        Self {
            kind: wait.kind,
            at: rfc3339(wait.at),
        }
    }
}
