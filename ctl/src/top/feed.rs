//! What the model is told, by whom: the terminal, the clock, the daemon.
//!
//! Nothing is asked of the daemon while nothing happens there, but how it is.
//! The place in its journal is fixed before the tasks are listed, so that what
//! happens in between is told twice rather than not at all.

use std::{collections::BTreeSet, time::Duration};

use agentd_proto::v1::{self, State};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};
use tonic::Status;

use super::{
    event::{Event, Snapshot},
    health::Health,
    row::Row,
    tasks::{ACTIVE, ENDED},
};
use crate::{
    client::Client,
    error::{Error, Kind, is_lost},
    reconnect::Backoff,
    view::{ACTIVE_STATES, FAILED_STATES},
};

/// Where events go.
pub(super) type Sender = mpsc::Sender<Event>;

/// Between two questions how the daemon is.
const STATUS: Duration = Duration::from_secs(3);
/// Between two looks at what holds queued tasks while nothing seems to happen.
const HOLDS: Duration = Duration::from_secs(15);
/// Between two questions what the day has cost.
const COST: Duration = Duration::from_secs(15);
/// After an event more of them are waited for.
const SETTLE: Duration = Duration::from_millis(60);
/// After something has happened, what holds others is looked at.
const HOLDS_AFTER: Duration = Duration::from_secs(1);
/// Changed tasks that are asked for one by one; with more, all are listed.
const SINGLE: usize = 100;
/// Tasks of a page.
const PAGE: u32 = 1_000;

/// Whoever listens has gone: the program ends.
#[derive(Debug)]
pub(super) struct Gone;

/// Why a connection ended.
enum End {
    Gone,
    /// It is made again.
    Lost(String),
    /// It would be refused again.
    Refused(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error.kind() {
            Kind::Unreachable | Kind::Timeout => Self::Lost(why(&error)),
            Kind::Other
            | Kind::Usage
            | Kind::NotFound
            | Kind::Conflict
            | Kind::Gone
            | Kind::Permission
            | Kind::ClosedPipe => Self::Refused(error),
        }
    }
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        if is_lost(&status) {
            Self::Lost(why(&status.into()))
        } else {
            Self::Refused(status.into())
        }
    }
}

/// The error in one line, without the name of the program.
fn why(error: &Error) -> String {
    let text = error.render();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("agentctl: ").to_owned()
}

/// Tells how things are at the daemon, over its restarts, for ever.
///
/// # Errors
/// What it refuses.
pub(super) async fn daemon(
    client: Client,
    sender: Sender,
    refresh: &Notify,
    zone: TimeZone,
) -> Result<Gone, Error> {
    // Who waits for an answer does not see that there is none.
    let client = client.patient(Duration::ZERO);
    let mut backoff = Backoff::new(Duration::MAX);
    loop {
        let mut connection = Connection {
            client: &client,
            sender: &sender,
            zone: &zone,
            health: Health::default(),
            waiting: false,
            cost: Cost::default(),
        };
        let why = match connection.tell(refresh, &mut backoff).await {
            Ok(never) => match never {},
            Err(End::Gone) => return Ok(Gone),
            Err(End::Refused(error)) => return Err(error),
            Err(End::Lost(why)) => why,
        };
        // A daemon that restarts at once was not away for anybody.
        if !backoff.is_fresh() && sender.send(Event::Away(why)).await.is_err() {
            return Ok(Gone);
        }
        backoff.pause().await;
    }
}

/// What the day has cost, as far as it was asked.
#[derive(Debug, Default)]
struct Cost {
    asked: Option<Instant>,
    revision: u64,
    day: Option<Date>,
}

struct Connection<'a> {
    client: &'a Client,
    sender: &'a Sender,
    zone: &'a TimeZone,
    health: Health,
    /// Whether a task is queued.
    waiting: bool,
    cost: Cost,
}

/// What is to be asked, and when.
#[derive(Debug)]
struct Due {
    changed: BTreeSet<u64>,
    settled: Option<Instant>,
    holds: Instant,
}

impl Due {
    fn new() -> Self {
        Self {
            changed: BTreeSet::new(),
            settled: None,
            holds: Instant::now() + HOLDS,
        }
    }

    fn event(&mut self, event: &v1::Event) {
        self.changed.insert(event.task);
        let now = Instant::now();
        self.settled.get_or_insert(now + SETTLE);
        // The end of one task is the beginning of another one.
        self.holds = self.holds.min(now + HOLDS_AFTER);
    }
}

impl Connection<'_> {
    async fn send(&self, event: Event) -> Result<(), End> {
        self.sender.send(event).await.map_err(|_| End::Gone)
    }

    /// Tells everything, then what changes.
    async fn tell(
        &mut self,
        refresh: &Notify,
        backoff: &mut Backoff,
    ) -> Result<std::convert::Infallible, End> {
        let status = self.client.status().await?;
        let request = v1::WatchRequest {
            after_revision: status.revision,
            from_start: status.revision == 0,
            task: 0,
        };
        let mut events = self.client.watch(request).await?;
        self.snapshot(status).await?;
        backoff.reset();
        let mut status = interval_at(Instant::now() + STATUS, STATUS);
        status.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut due = Due::new();
        loop {
            let settled = due.settled.unwrap_or(due.holds);
            tokio::select! {
                event = events.message() => match event? {
                    Some(event) => due.event(&event),
                    None => return Err(End::Lost("agentd ended the stream".to_owned())),
                },
                () = sleep_until(settled), if due.settled.is_some() => {
                    due.settled = None;
                    self.changed(std::mem::take(&mut due.changed)).await?;
                    self.status(&mut due).await?;
                }
                () = sleep_until(due.holds), if due.settled.is_none() => {
                    due.holds = Instant::now() + HOLDS;
                    if self.waiting {
                        self.queued().await?;
                    }
                }
                _ = status.tick() => self.status(&mut due).await?,
                () = refresh.notified() => self.status(&mut due).await?,
                () = self.sender.closed() => return Err(End::Gone),
            }
        }
    }

    async fn snapshot(&mut self, status: v1::StatusResponse) -> Result<(), End> {
        let revision = status.revision;
        self.health = Health::from(status);
        let mut left_out = 0;
        let mut rows = Vec::new();
        let (active, more) = self.list(&ACTIVE_STATES, ACTIVE).await?;
        left_out += more;
        self.waiting = active.iter().any(Row::waits);
        rows.extend(active);
        rows.extend(self.list(&FAILED_STATES, ENDED).await?.0);
        rows.extend(self.list(&[], ENDED).await?.0);
        let snapshot = Snapshot {
            health: self.health.clone(),
            rows,
            left_out,
        };
        self.send(Event::Connected(Box::new(snapshot))).await?;
        self.today(revision).await
    }

    /// The newest tasks in these states, and how many others there are.
    async fn list(&self, states: &[State], most: usize) -> Result<(Vec<Row>, u64), End> {
        let filter = v1::Filter {
            states: states.iter().map(|&state| state.into()).collect(),
            ..v1::Filter::default()
        };
        let mut rows = Vec::new();
        let mut page_token = String::new();
        loop {
            let left = u32::try_from(most - rows.len()).unwrap_or(PAGE);
            let request = v1::ListRequest {
                filter: Some(filter.clone()),
                page_size: left.min(PAGE),
                page_token,
            };
            let page = self.client.list(request).await?;
            rows.extend(
                page.tasks
                    .into_iter()
                    .map(Row::from)
                    .take(most - rows.len()),
            );
            page_token = page.next_page_token;
            if page_token.is_empty() || rows.len() >= most {
                return Ok((rows, page.more));
            }
        }
    }

    /// Tells how these tasks are now.
    async fn changed(&mut self, ids: BTreeSet<u64>) -> Result<(), End> {
        if ids.len() > SINGLE {
            let status = self.client.status().await?;
            return self.snapshot(status).await;
        }
        let (mut rows, mut gone) = (Vec::new(), Vec::new());
        for id in ids {
            match self.client.get(id).await {
                Ok(got) => rows.extend(got.task.map(Row::from)),
                Err(error) if error.kind() == Kind::NotFound => gone.push(id),
                Err(error) => return Err(error.into()),
            }
        }
        self.waiting |= rows.iter().any(Row::waits);
        self.send(Event::Changed(rows, gone)).await
    }

    /// Tells what holds the queued tasks now: that changes without them.
    async fn queued(&mut self) -> Result<(), End> {
        let (rows, _) = self.list(&[State::Queued], ENDED).await?;
        self.waiting = !rows.is_empty();
        self.send(Event::Changed(rows, Vec::new())).await
    }

    /// Tells how the daemon is.
    async fn status(&mut self, due: &mut Due) -> Result<(), End> {
        let status = self.client.status().await?;
        let revision = status.revision;
        let health = Health::from(status);
        if health.holds_differ(&self.health) {
            due.holds = Instant::now();
        }
        if health != self.health {
            self.health = health.clone();
            self.send(Event::Health(Box::new(health))).await?;
        }
        let asked = self.cost.asked.is_some_and(|at| at.elapsed() < COST);
        let is_known = revision == self.cost.revision && Some(self.day()) == self.cost.day;
        if asked || is_known {
            return Ok(());
        }
        self.today(revision).await
    }

    /// The day where this program runs.
    fn day(&self) -> Date {
        Timestamp::now().to_zoned(self.zone.clone()).date()
    }

    /// Tells what attempts of this day have cost.
    async fn today(&mut self, revision: u64) -> Result<(), End> {
        let day = self.day();
        self.cost = Cost {
            asked: Some(Instant::now()),
            revision,
            day: Some(day),
        };
        let Ok(begin) = day.to_zoned(self.zone.clone()) else {
            return Ok(());
        };
        let request = v1::UsageRequest {
            since: begin.timestamp().as_millisecond(),
            ..v1::UsageRequest::default()
        };
        let used = self.client.usage(request).await?;
        let cost = used.total.and_then(|total| total.usage?.cost);
        self.send(Event::Today(cost)).await
    }
}
