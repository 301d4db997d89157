//! `agentctl` alone: what goes on, in five lines.

use std::time::Duration;

use agentd_proto::v1::{self, State};

use super::quota::until;
use crate::{
    cli::Context,
    client::Client,
    error::{EXIT_OK, Error, Kind},
    output::{limits::dollars, table::one_line, tasks::result_line},
    view::FAILED_STATES,
    when::{between, short},
};

/// What is looked back at.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Says what goes on.
///
/// # Errors
/// The daemon's; that none runs is none.
pub(crate) async fn overview(cx: &mut Context) -> Result<u8, Error> {
    let client = match cx.client().await {
        Ok(client) => client,
        Err(error) if error.kind() == Kind::Unreachable && !cx.sockets.named => {
            return nobody(cx);
        }
        Err(error) => return Err(error),
    };
    let since = cx.out.now.as_millisecond() - i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX);
    let (status, succeeded, failed, cancelled, usage) = tokio::try_join!(
        client.status(),
        count(&client, &[State::Succeeded], since),
        count(&client, &FAILED_STATES, since),
        count(&client, &[State::Cancelled], since),
        client.usage(v1::UsageRequest {
            since,
            ..v1::UsageRequest::default()
        }),
    )?;
    let now = cx.out.now.as_millisecond();
    let up = between(status.started_at, now).map(|up| format!("up {}, ", short(up)));
    let zone = cx.out.zone();
    let lines = [
        format!(
            "agentd {} is {} ({}pid {})",
            status.version,
            status.phase,
            up.unwrap_or_default(),
            status.pid
        ),
        format!(
            "now: {} running, {} queued, {} slots",
            status.starting + status.running + status.stopping,
            status.queued,
            status.slots
        ),
        waits(&status, |account| until(account, cx.out.now, &zone)),
        format!(
            "24 h: {succeeded} succeeded, {failed} failed, {cancelled} cancelled{}",
            cost(&usage)
        ),
        next(&failed, now),
    ];
    lines.iter().try_for_each(|line| cx.out.line(line))?;
    Ok(EXIT_OK)
}

/// Nothing is wrong with that: it may be the first time.
fn nobody(cx: &mut Context) -> Result<u8, Error> {
    let start = format!("start it with: {}", cx.sockets.start);
    let known = cx.env.state_dir().is_some_and(|state| state.is_dir());
    let start = match cx.starts() && !known {
        true => "begin with: agentctl run -- echo hello (it starts the daemon, too)",
        false => &start,
    };
    for line in [
        "agentd does not run",
        start,
        "agentctl --help lists the verbs, agentctl doctor looks for what is wrong",
    ] {
        cx.out.line(line)?;
    }
    Ok(EXIT_OK)
}

/// How many tasks there are, and the newest of them.
struct Count {
    newest: Option<v1::Task>,
    tasks: u64,
    at_least: bool,
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.tasks, if self.at_least { "+" } else { "" })
    }
}

async fn count(client: &Client, states: &[State], since: i64) -> Result<Count, Error> {
    let filter = v1::Filter {
        states: states.iter().copied().map(i32::from).collect(),
        since,
        ..v1::Filter::default()
    };
    let request = v1::ListRequest {
        filter: Some(filter),
        page_size: 1,
        ..v1::ListRequest::default()
    };
    let mut page = client.list(request).await?;
    Ok(Count {
        tasks: page.more + page.tasks.len() as u64,
        at_least: page.more_is_bound,
        newest: page.tasks.pop(),
    })
}

/// What keeps tasks from being started, the worst first.
fn waits(status: &v1::StatusResponse, until: impl Fn(&v1::Account) -> String) -> String {
    if !status.trouble.is_empty() {
        return format!("trouble: {}", one_line(&status.trouble));
    }
    let held = status.recovery.as_ref().map_or(0, |recovery| recovery.held);
    if held > 0 {
        return format!(
            "trouble: {held} tasks look dead, too many to be believed (agentctl recover)"
        );
    }
    if status.paused {
        return "waits: everything, it is paused (agentctl resume)".to_owned();
    }
    match status.phase.as_str() {
        "draining" | "stopping" => {
            return "waits: everything, the daemon is to end".to_owned();
        }
        "recovering" => {
            return "waits: everything, the daemon still looks at what it found at its start"
                .to_owned();
        }
        _ => {}
    }
    let parked = status.parked.iter();
    let parked = parked.map(|account| format!("{} until {}", account.name, until(account)));
    let paused = status.agents.iter().filter(|agent| agent.paused);
    let paused = paused.map(|agent| format!("{} is paused", agent.name));
    let held = match status.held {
        0 => None,
        1 => Some("1 task is held (agentctl ls --state queued)".to_owned()),
        held => Some(format!(
            "{held} tasks are held (agentctl ls --state queued)"
        )),
    };
    let waiting = parked.chain(lacks(status)).chain(paused).chain(held);
    let waiting: Vec<String> = waiting.collect();
    if waiting.is_empty() && status.queued > 0 {
        "waits: for slots, times or other tasks (agentctl ls --state queued)".to_owned()
    } else if waiting.is_empty() {
        "waits: nothing, no account has met its limit".to_owned()
    } else {
        format!("waits: {}", waiting.join(", "))
    }
}

/// The first thing that an agent lacks, and how many other agents lack something.
fn lacks(status: &v1::StatusResponse) -> Option<String> {
    let mut agents = status
        .agents
        .iter()
        .filter(|agent| !agent.troubles.is_empty());
    let first = agents.next()?;
    let what = one_line(&first.troubles.first()?.what);
    let others = match agents.count() {
        0 => String::new(),
        1 => ", 1 other agent has trouble, too".to_owned(),
        more => format!(", {more} other agents have trouble, too"),
    };
    Some(format!(
        "{}: {what}{others} (agentctl agents)",
        one_line(&first.name)
    ))
}

fn cost(usage: &v1::UsageResponse) -> String {
    match usage.total.as_ref().and_then(|total| total.usage?.cost) {
        Some(cost) => format!("; {}", dollars(cost)),
        None => String::new(),
    }
}

/// The newest failure, or where to look next.
fn next(failed: &Count, now: i64) -> String {
    let Some(task) = &failed.newest else {
        return "more: agentctl ls, agentctl top, agentctl --help".to_owned();
    };
    let ago = between(task.finished_at, now)
        .map(short)
        .unwrap_or_default();
    format!(
        "newest failure, {ago} ago: {} (agentctl explain {})",
        result_line(task),
        task.id
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_tasks_is_said() {
        let agent = v1::AgentStatus {
            name: "shell".to_owned(),
            paused: true,
            ..v1::AgentStatus::default()
        };
        let say = |change: fn(&mut v1::StatusResponse)| {
            let mut status = v1::StatusResponse {
                phase: "ready".to_owned(),
                ..v1::StatusResponse::default()
            };
            change(&mut status);
            waits(&status, |_| String::new())
        };
        let idle = "waits: nothing, no account has met its limit";
        assert_eq!(say(|_| {}), idle);
        let queued = say(|status| status.queued = 2);
        assert!(queued.starts_with("waits: for slots, times or other tasks"));
        let held = say(|status| (status.queued, status.held) = (3, 1));
        assert_eq!(held, "waits: 1 task is held (agentctl ls --state queued)");
        let drains = say(|status| status.phase = "draining".to_owned());
        assert_eq!(drains, "waits: everything, the daemon is to end");
        let recovers = say(|status| status.phase = "recovering".to_owned());
        assert!(recovers.contains("looks at what it found"), "{recovers}");
        let status = v1::StatusResponse {
            agents: vec![agent],
            held: 2,
            ..v1::StatusResponse::default()
        };
        let both = waits(&status, |_| String::new());
        assert!(both.starts_with("waits: shell is paused, 2 tasks are held"));
        let lacking = |name: &str| v1::AgentStatus {
            name: name.to_owned(),
            troubles: vec![v1::agent::Trouble {
                what: "not logged in".to_owned(),
                hint: "log in".to_owned(),
            }],
            ..v1::AgentStatus::default()
        };
        let mut status = v1::StatusResponse {
            agents: vec![lacking("claude")],
            ..v1::StatusResponse::default()
        };
        let one = waits(&status, |_| String::new());
        assert_eq!(one, "waits: claude: not logged in (agentctl agents)");
        status.agents.push(lacking("codex"));
        let two = waits(&status, |_| String::new());
        assert!(two.contains(", 1 other agent has trouble, too"), "{two}");
    }
}
