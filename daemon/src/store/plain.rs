//! The store against a plain model of it: any sequence of batches, aborts,
//! reopenings and queries must show what maps and lists would show.
//!
//! Tasks change as they do in the daemon, through `decide`, so that rows,
//! attempts and states belong together. The model keeps everything in memory
//! and looks through all of it for each answer; it has no indexes.

mod real;

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, sample::Index};
use proptest_state_machine::{ReferenceStateMachine, prop_state_machine};

use self::real::Real;

use super::{Filter, JournalEntry};
use crate::task::{
    attempt::Attempt,
    event::{Event, Stage, What},
    id::{AttemptId, Revision, TaskId, Timestamp},
    moment::Moment,
    reason::FailureReason,
    session::{Fate, Given, Session, follow, touched},
    spec::TaskSpec,
    state::{StateKind, Task},
    testing,
    transition::{Change, Context, Decision, decide, reference},
};

/// An hour, milliseconds.
const HOUR: i64 = 3_600_000;
/// When transcripts go.
const PRUNED_AT: Timestamp = Timestamp(77 * HOUR);

/// A change that is part of a batch.
#[derive(Debug, Clone)]
enum Act {
    Submit {
        agent: u8,
        repo: Option<u8>,
        issue: Option<u8>,
        label: Option<u8>,
        request: Option<u8>,
        /// By how much the wall clock is off.
        hours: i64,
    },
    /// Something happens to one of the active tasks.
    Happen {
        to: Index,
        what: u8,
    },
    Pause(u8, bool),
    Incarnation,
    /// One of the tasks is taken out, unless it is active.
    Remove(Index),
    /// The transcripts of one go.
    PruneTranscripts(Index),
}

/// How a batch ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Commit,
    Abort,
    Drop,
}

#[derive(Debug, Clone)]
enum Step {
    Batch(Vec<Act>, End),
    Reopen,
    List {
        filter: Box<Filter>,
        before: Option<Index>,
        limit: usize,
    },
    Events {
        after: Index,
        of: Option<Index>,
        limit: usize,
    },
}

/// What the store should hold.
#[derive(Debug, Clone, Default)]
struct Plain {
    tasks: BTreeMap<TaskId, Task>,
    attempts: BTreeMap<AttemptId, Attempt>,
    requests: BTreeMap<String, (TaskId, [u8; 32])>,
    journal: Vec<JournalEntry>,
    paused: BTreeSet<String>,
    /// With the revision at which each was worked in last.
    sessions: BTreeMap<(String, String), (Session, u64)>,
    incarnation: u64,
    /// Tasks and changes that there ever were.
    made: u64,
    revision: u64,
}

fn spec(act: &Act, id: TaskId) -> Option<TaskSpec> {
    let Act::Submit {
        agent,
        repo,
        issue,
        label,
        request,
        hours,
    } = act
    else {
        return None;
    };
    let mut spec = testing::spec(&format!("a{agent}"));
    spec.repo = repo.map(|repo| format!("/r{repo}").into());
    spec.issue = issue.map(|issue| issue.to_string());
    spec.request_id = request.map(|request| format!("request {request}"));
    spec.labels = label
        .map(|label| ("l".to_owned(), label.to_string()))
        .into_iter()
        .collect();
    // Later by and by, on a clock that may be set back by less than a day.
    let since_first = i64::try_from(id.get()).unwrap() * 6 + hours;
    spec.created_at = Timestamp(since_first * HOUR);
    Some(spec)
}

fn prompt(id: TaskId) -> String {
    format!("do {id}")
}

fn digest(id: TaskId) -> [u8; 32] {
    [u8::try_from(id.get() % 251).unwrap(); 32]
}

/// What becomes of a task to which something happens; none if it is ignored.
fn change(task: &Task, what: u8) -> Option<Change> {
    let context = Context {
        now: Moment::of_wall(Timestamp(50 * HOUR)),
        random: u64::from(what),
    };
    let event = match task.live_attempt().map(reference) {
        None if what == 0 => testing::cancel(false),
        None => testing::claim(testing::NONCE),
        Some(attempt) => match what {
            0 => testing::cancel(false),
            1 | 2 => testing::registered(attempt, Stage::Waiting),
            3 | 4 => testing::started(attempt),
            5 => testing::registered(attempt, testing::running()),
            6 => testing::exited(attempt, 0),
            7 => testing::exited(attempt, 1),
            8 => Event::NeverStarted { attempt },
            9 => Event::Prepared {
                attempt,
                workspace: testing::workspace(),
                given: Given::default(),
            },
            10..16 => testing::says(attempt, &format!("s{}", what % 3)),
            16 => testing::exited_because(attempt, FailureReason::ContextOverflow),
            _ => Event::Lost {
                attempt,
                reason: FailureReason::HostRebooted,
            },
        },
    };
    match decide(task, &event, context) {
        Decision::Apply(change) => Some(*change),
        Decision::Repeat(_) | Decision::Ignore(_) => None,
    }
}

/// One of the tasks, if there is any.
fn one_of(tasks: &BTreeMap<TaskId, Task>, which: &Index) -> Option<TaskId> {
    let ids: Vec<TaskId> = tasks.keys().copied().collect();
    (!ids.is_empty()).then(|| *which.get(&ids))
}

/// One of the active tasks, if there is any.
fn active(tasks: &BTreeMap<TaskId, Task>, which: &Index) -> Option<Task> {
    let active: Vec<_> = tasks.values().filter(|t| t.state.is_active()).collect();
    (!active.is_empty()).then(|| (*which.get(&active)).clone())
}

impl Plain {
    fn act(&mut self, act: &Act) {
        match act {
            Act::Submit { .. } => {
                let id = self.next_task();
                let spec = spec(act, id).unwrap();
                if let Some(request) = &spec.request_id {
                    if self.requests.contains_key(request) {
                        return;
                    }
                    self.requests.insert(request.clone(), (id, digest(id)));
                }
                self.made += 1;
                let task = Task::submitted(id, spec);
                self.put(task, What::Submitted, "new");
            }
            Act::Happen { to, what } => {
                let task = active(&self.tasks, to);
                if let Some(change) = task.and_then(|task| change(&task, *what)) {
                    self.put(change.next, change.what, &change.why);
                }
            }
            Act::Pause(agent, true) => {
                self.paused.insert(format!("a{agent}"));
            }
            Act::Pause(agent, false) => {
                self.paused.remove(&format!("a{agent}"));
            }
            Act::Incarnation => self.incarnation += 1,
            Act::Remove(which) => {
                if let Some(id) = one_of(&self.tasks, which) {
                    self.remove(id);
                }
            }
            Act::PruneTranscripts(which) => {
                let id = one_of(&self.tasks, which);
                let task = id.and_then(|id| self.tasks.get_mut(&id));
                let Some(task) = task.filter(|task| !task.state.is_active()) else {
                    return;
                };
                let of_task = |attempt: &&mut Attempt| attempt.id.task == task.id;
                for attempt in self.attempts.values_mut().filter(of_task) {
                    attempt.pruned_at = Some(PRUNED_AT);
                }
                if let Some(attempt) = &mut task.attempt {
                    attempt.pruned_at = Some(PRUNED_AT);
                }
            }
        }
    }

    fn remove(&mut self, id: TaskId) {
        if self.tasks[&id].state.is_active() {
            return;
        }
        self.tasks.remove(&id);
        self.attempts.retain(|attempt, _| attempt.task != id);
        self.requests.retain(|_, (task, _)| *task != id);
        self.journal.retain(|entry| entry.task != id);
        let of_task = |session: &Session| session.attempt.task == id;
        self.sessions.retain(|_, (session, _)| !of_task(session));
    }

    fn put(&mut self, mut task: Task, what: What, why: &str) {
        self.revision += 1;
        task.revision = Revision(self.revision);
        self.follow(&task);
        if let Some(attempt) = &task.attempt {
            self.attempts.insert(attempt.id, attempt.clone());
        }
        self.journal.push(JournalEntry {
            revision: task.revision,
            task: task.id,
            attempt: task.attempt.as_ref().map_or(0, |a| a.id.number),
            at: Timestamp(task.revision.0.cast_signed()),
            what,
            why: why.to_owned(),
            state: task.state.kind(),
        });
        self.tasks.insert(task.id, task);
    }

    fn follow(&mut self, task: &Task) {
        let Some(attempt) = &task.attempt else {
            return;
        };
        let before = self.attempts.get(&attempt.id);
        if before == Some(attempt) {
            return;
        }
        let at = Timestamp(task.revision.0.cast_signed());
        for id in touched(before, attempt) {
            let place = (task.spec.agent.clone(), id);
            let row = self.sessions.get(&place);
            let known = row.map(|(session, _)| session);
            match follow(known, &place.1, before, task, at) {
                Fate::Stays => {}
                Fate::Vanishes => drop(self.sessions.remove(&place)),
                Fate::Becomes(session) => {
                    let moved = known.is_none_or(|known| {
                        (known.attempt, &known.key) != (session.attempt, &session.key)
                    });
                    let since = row.map(|(_, since)| *since).filter(|_| !moved);
                    let since = since.unwrap_or(task.revision.0);
                    self.sessions.insert(place, (*session, since));
                }
            }
        }
    }

    /// Newest first.
    fn sessions(&self, agent: Option<&str>, key: Option<&str>) -> Vec<&Session> {
        let rows = self.sessions.values();
        let rows = rows.filter(|(session, _)| agent.is_none_or(|agent| agent == session.agent));
        let mut rows: Vec<_> = rows
            .filter(|(session, _)| key.is_none_or(|key| key == session.key))
            .collect();
        rows.sort_by_key(|(session, since)| (*since, &session.agent, &session.id));
        rows.iter().rev().map(|(session, _)| session).collect()
    }

    fn next_task(&self) -> TaskId {
        TaskId::new(self.made + 1).unwrap()
    }

    fn list(&self, filter: &Filter) -> Vec<&Task> {
        let text = |task: &Task| {
            let repo = task.spec.repo.as_ref();
            repo.map(|repo| repo.to_string_lossy().into_owned())
        };
        let label = |task: &Task, (name, value): (&String, &String)| {
            task.spec.labels.get(name) == Some(value)
        };
        let tasks = self.tasks.values().rev();
        tasks
            .filter(|t| filter.states.is_empty() || filter.states.contains(&t.state.kind()))
            .filter(|t| filter.agent.as_ref().is_none_or(|a| *a == t.spec.agent))
            .filter(|t| filter.repo.is_none() || filter.repo == text(t))
            .filter(|t| filter.issue.is_none() || filter.issue == t.spec.issue)
            .filter(|t| filter.labels.iter().all(|wanted| label(t, wanted)))
            .filter(|t| filter.since.is_none_or(|since| t.spec.created_at >= since))
            .filter(|t| filter.until.is_none_or(|until| t.spec.created_at < until))
            .collect()
    }
}

fn act() -> impl Strategy<Value = Act> {
    let small = || prop::option::of(0u8..3);
    let submit = (
        0u8..3,
        small(),
        small(),
        small(),
        prop::option::of(0u8..20),
        0i64..20,
    );
    prop_oneof![
        4 => submit.prop_map(|(agent, repo, issue, label, request, hours)| Act::Submit {
            agent, repo, issue, label, request, hours,
        }),
        16 => (any::<Index>(), 0u8..18).prop_map(|(to, what)| Act::Happen { to, what }),
        1 => (0u8..3, any::<bool>()).prop_map(|(agent, paused)| Act::Pause(agent, paused)),
        1 => Just(Act::Incarnation),
        2 => any::<Index>().prop_map(Act::Remove),
        1 => any::<Index>().prop_map(Act::PruneTranscripts),
    ]
}

/// Times are asked for among those at which so many tasks were submitted.
fn filter(tasks: usize) -> impl Strategy<Value = Filter> + use<> {
    let newest = i64::try_from(tasks).unwrap() * 6 + 21;
    let states = prop_oneof![
        Just(vec![]),
        Just(StateKind::ACTIVE.to_vec()),
        prop::sample::subsequence(StateKind::ALL.to_vec(), 1..4),
    ];
    let name = |prefix: &'static str| {
        prop::option::weighted(0.3, (0u8..4).prop_map(move |n| format!("{prefix}{n}")))
    };
    let time = |weight| {
        let hours = (0..newest).prop_map(|at| Timestamp(at * HOUR));
        prop::option::weighted(weight, hours)
    };
    let label = prop::option::weighted(0.2, (0u8..4).prop_map(|n| n.to_string()));
    (
        states,
        name("a"),
        name("/r"),
        name(""),
        label,
        time(0.4),
        time(0.1),
    )
        .prop_map(|(states, agent, repo, issue, label, since, until)| Filter {
            states,
            agent,
            repo,
            issue,
            labels: label.map(|l| ("l".to_owned(), l)).into_iter().collect(),
            since,
            until,
        })
}

impl ReferenceStateMachine for Plain {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::default()).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Step> {
        let end = prop_oneof![6 => Just(End::Commit), 1 => Just(End::Abort), 1 => Just(End::Drop)];
        let index = || prop::option::of(any::<Index>());
        let made = usize::try_from(state.made).unwrap();
        prop_oneof![
            8 => (prop::collection::vec(act(), 1..12), end)
                .prop_map(|(acts, end)| Step::Batch(acts, end)),
            1 => Just(Step::Reopen),
            6 => (filter(made).prop_map(Box::new), index(), 0usize..8)
                .prop_map(|(filter, before, limit)| Step::List { filter, before, limit }),
            2 => (any::<Index>(), index(), 0usize..20)
                .prop_map(|(after, of, limit)| Step::Events { after, of, limit }),
        ]
        .boxed()
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        match step {
            Step::Batch(acts, End::Commit) => acts.iter().for_each(|act| state.act(act)),
            Step::Batch(_, End::Abort | End::Drop)
            | Step::Reopen
            | Step::List { .. }
            | Step::Events { .. } => {}
        }
        state
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn agrees_with_a_plain_model(sequential 1..40 => Real);
}
