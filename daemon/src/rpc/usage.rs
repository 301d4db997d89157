//! What attempts have used over a time, added up.

use std::collections::{BTreeSet, HashMap};

use agentd_proto::v1::{self, usage_request::By};

use super::{error::Failure, to_proto};
use crate::{
    store::{Reader, StoreError},
    task::{
        attempt::Attempt,
        id::{AttemptId, TaskId, Timestamp},
        moment::Moment,
        spec::TaskSpec,
        usage::Usage,
    },
};

/// Attempts that one answer looks at.
const MOST: usize = 200_000;
/// Rows of an answer.
const ROWS: usize = 1_000;
/// Days of a request.
const DAYS: usize = 4_000;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Question {
    by: By,
    since: Timestamp,
    until: Timestamp,
    days: Vec<i64>,
}

/// A row belongs to one of these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Group {
    All,
    Name(String),
    Day(i64),
    Lineage(TaskId),
}

#[derive(Debug, Default)]
struct Sum {
    attempts: u64,
    tasks: BTreeSet<TaskId>,
    wall: u64,
    usage: Usage,
}

/// A request that can be answered.
pub(super) fn question(request: v1::UsageRequest) -> Result<Question, Failure> {
    let by =
        By::try_from(request.by).map_err(|_| Failure::field("by", "usage is not told by that"))?;
    if request.days.len() > DAYS || !request.days.is_sorted() {
        let message = format!("days are ascending, and at most {DAYS}");
        return Err(Failure::field("days", message));
    }
    Ok(Question {
        by,
        since: Timestamp(request.since),
        until: match request.until {
            0 => Timestamp(i64::MAX),
            until => Timestamp(until),
        },
        days: request.days,
    })
}

/// Adds up what the attempts of the time have used, newest first.
pub(super) fn usage(
    reader: &Reader,
    question: &Question,
    now: Moment,
) -> Result<v1::UsageResponse, StoreError> {
    let mut sums: HashMap<Group, Sum> = HashMap::new();
    let mut total = Sum::default();
    let mut specs: HashMap<TaskId, TaskSpec> = HashMap::new();
    let (mut seen, mut from) = (0, 0);
    reader.claims(question.since, |id, at| {
        if at >= question.until {
            return Ok(true);
        }
        if seen >= MOST {
            from = at.0.saturating_add(1);
            return Ok(false);
        }
        seen += 1;
        if let Some(attempt) = reader.attempt(id)? {
            let group = group(reader, question, &mut specs, id, at)?;
            sums.entry(group).or_default().add(&attempt, now);
            total.add(&attempt, now);
        }
        Ok(true)
    })?;
    let mut rows: Vec<_> = sums.into_iter().collect();
    rows.sort_by(|(a, first), (b, second)| {
        let size = |sum: &Sum| (sum.usage.cost, sum.usage.tokens(), sum.wall);
        let by_size = size(second).cmp(&size(first));
        match question.by {
            By::Day => b.cmp(a),
            By::Unspecified | By::Agent | By::Repo | By::Lineage => by_size.then(a.cmp(b)),
        }
    });
    let more = rows.len().saturating_sub(ROWS);
    rows.truncate(ROWS);
    if question.by == By::Day {
        rows.reverse();
    }
    Ok(v1::UsageResponse {
        rows: rows
            .into_iter()
            .map(|(group, sum)| row(group, &sum))
            .collect(),
        more: u64::try_from(more).unwrap_or(u64::MAX),
        total: Some(row(Group::All, &total)),
        from,
    })
}

fn group(
    reader: &Reader,
    question: &Question,
    specs: &mut HashMap<TaskId, TaskSpec>,
    attempt: AttemptId,
    at: Timestamp,
) -> Result<Group, StoreError> {
    let id = attempt.task;
    match question.by {
        By::Unspecified => return Ok(Group::All),
        By::Day => {
            let behind = question.days.partition_point(|begin| *begin <= at.0);
            let begin = behind.checked_sub(1).and_then(|day| question.days.get(day));
            return Ok(Group::Day(begin.copied().unwrap_or(0)));
        }
        By::Agent | By::Repo | By::Lineage => {}
    }
    if !specs.contains_key(&id)
        && let Some(task) = reader.task(id)?
    {
        specs.insert(id, task.spec);
    }
    let spec = specs.get(&id);
    Ok(match question.by {
        By::Agent => Group::Name(spec.map(|spec| spec.agent.clone()).unwrap_or_default()),
        By::Repo => {
            let repo = spec.and_then(|spec| spec.repo.as_ref());
            Group::Name(repo.map_or_else(String::new, |repo| repo.to_string_lossy().into_owned()))
        }
        By::Lineage => Group::Lineage(spec.and_then(|spec| spec.lineage).unwrap_or(id)),
        By::Unspecified | By::Day => Group::All,
    })
}

impl Sum {
    fn add(&mut self, attempt: &Attempt, now: Moment) {
        self.attempts += 1;
        self.tasks.insert(attempt.id.task);
        let running = attempt.started_at.filter(|_| attempt.ending.is_none());
        let ran = running.map_or(attempt.ran, |at| now.millis_since(at));
        self.wall = self.wall.saturating_add(ran);
        self.usage = self.usage.plus(attempt.known().usage.unwrap_or_default());
    }
}

fn row(group: Group, sum: &Sum) -> v1::UsageRow {
    let mut row = v1::UsageRow {
        attempts: sum.attempts,
        tasks: u64::try_from(sum.tasks.len()).unwrap_or(u64::MAX),
        wall: sum.wall,
        usage: Some(to_proto::usage(&sum.usage)),
        ..v1::UsageRow::default()
    };
    match group {
        Group::All => {}
        Group::Name(name) => row.name = name,
        Group::Day(begin) => row.day = begin,
        Group::Lineage(first) => row.lineage = first.get(),
    }
    row
}
