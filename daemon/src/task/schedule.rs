//! Which queued task runs next.
//!
//! The schedule knows every active task by what matters here: its place in the
//! order, the limits that it counts against, its key. It is told of each
//! change of a task by [`Schedule::update`] and answers [`Schedule::pick`] by
//! looking at the head of each lane, so that neither a change nor a pick costs
//! more than the number of lanes and the logarithm of the queue.
//!
//! **Order.** Higher priority first, then the older number. So that nothing
//! starves, a task gains one step of priority for every [`AGEING`] that it
//! waits. As all tasks age at the same pace, this is the fixed order of
//! `submitted - priority × AGEING`; nothing has to be re-sorted as time goes by.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
};

use super::{
    deadline::is_held,
    id::{TaskId, Timestamp},
    moment::Moment,
    spec::{Key, WorkspaceMode},
    state::{State, Task},
};

/// How long a task waits to gain one step of priority, milliseconds.
pub const AGEING: i64 = 10 * 60_000;

/// How many may run at once. A name that is absent has no limit of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capacity {
    /// Of all.
    pub total: u32,
    /// Of one agent.
    pub agents: BTreeMap<String, u32>,
    /// In one repository.
    pub repos: BTreeMap<PathBuf, u32>,
}

/// Tasks that count against the same limits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Lane {
    agent: String,
    repo: Option<PathBuf>,
    in_place: bool,
}

impl Lane {
    fn of(task: &Task) -> Self {
        Self {
            agent: task.spec.agent.clone(),
            repo: task.spec.repo.clone(),
            in_place: task.spec.workspace_mode == WorkspaceMode::InPlace,
        }
    }
}

/// A place in the order; the smallest is first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    rank: i64,
    id: TaskId,
}

#[derive(Debug, Clone)]
struct Entry {
    lane: Lane,
    place: Place,
    key: Option<Key>,
    occupied: bool,
    /// Queued and not held by itself; it may still wait behind its key.
    ready: bool,
}

/// Every active task, by what the choice of the next one depends on.
#[derive(Debug, Default)]
pub struct Schedule {
    capacity: Capacity,
    entries: HashMap<TaskId, Entry>,
    lanes: BTreeMap<Lane, BTreeSet<Place>>,
    keys: HashMap<Key, BTreeSet<TaskId>>,
    total: u32,
    agents: HashMap<String, u32>,
    repos: HashMap<PathBuf, u32>,
    in_place: HashMap<PathBuf, u32>,
    newest: Timestamp,
    paused: bool,
    paused_agents: BTreeSet<String>,
    /// What each configured agent works on.
    accounts: BTreeMap<String, String>,
    /// Of these nothing is chosen: their provider takes nothing now.
    parked: BTreeSet<String>,
}

impl Schedule {
    /// A schedule without tasks.
    #[must_use]
    pub fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            ..Self::default()
        }
    }

    /// Has other numbers count from now on. What runs beyond them goes on.
    pub fn set_capacity(&mut self, capacity: Capacity) {
        self.capacity = capacity;
    }

    /// Takes note of a task's present state. A task that is held is left out
    /// until it is told of again, or until [`Schedule::release`].
    pub fn update(&mut self, task: &Task, now: Moment) {
        let place = match self.remove(task.id) {
            Some(before) => before.place,
            None => self.place(task),
        };
        let ready = match &task.state {
            State::Finished(_) => return,
            State::Queued(_) => !is_held(task, now),
            State::Starting | State::Running | State::Stopping { .. } => false,
        };
        let entry = Entry {
            lane: Lane::of(task),
            place,
            key: task.spec.key(),
            occupied: task.state.is_occupied(),
            ready,
        };
        if entry.occupied {
            self.count(&entry.lane, 1);
        }
        if let Some(key) = &entry.key {
            let head = self.key_head(key);
            self.keys.entry(key.clone()).or_default().insert(task.id);
            // A task that comes before the head takes its place.
            if let Some(head) = head.filter(|head| task.id < *head) {
                self.leave_lane(head);
            }
        }
        self.entries.insert(task.id, entry);
        self.enter_lane(task.id);
    }

    /// The backoff of a queued task is over.
    pub fn release(&mut self, id: TaskId) {
        if let Some(entry) = self.entries.get_mut(&id)
            && !entry.occupied
        {
            entry.ready = true;
            self.enter_lane(id);
        }
    }

    /// The task that may run now and comes first.
    #[must_use]
    pub fn pick(&self) -> Option<TaskId> {
        if self.paused || self.total >= self.capacity.total {
            return None;
        }
        self.lanes
            .iter()
            .filter(|(lane, _)| self.is_open(lane))
            .filter_map(|(_, places)| places.first())
            .min()
            .map(|place| place.id)
    }

    /// The oldest active task of a key: the one that has it.
    #[must_use]
    pub fn key_head(&self, key: &Key) -> Option<TaskId> {
        self.keys.get(key).and_then(|ids| ids.first()).copied()
    }

    /// The active tasks of a key, oldest first.
    pub fn of_key<'a>(&'a self, key: &Key) -> impl Iterator<Item = TaskId> + 'a {
        self.keys.get(key).into_iter().flatten().copied()
    }

    /// Stops or resumes the choice of an agent's tasks, or of all. Returns
    /// whether that changed anything.
    pub fn set_paused(&mut self, agent: Option<&str>, paused: bool) -> bool {
        match (agent, paused) {
            (None, _) => std::mem::replace(&mut self.paused, paused) != paused,
            (Some(agent), true) => self.paused_agents.insert(agent.to_owned()),
            (Some(agent), false) => self.paused_agents.remove(agent),
        }
    }

    /// Has agents work on these accounts from now on.
    pub fn set_accounts(&mut self, accounts: BTreeMap<String, String>) {
        self.accounts = accounts;
    }

    /// The account of an agent; one that is not configured any more has its own.
    #[must_use]
    pub fn account_of<'a>(&'a self, agent: &'a str) -> &'a str {
        self.accounts.get(agent).map_or(agent, String::as_str)
    }

    /// Stops or resumes the choice of all tasks of an account.
    pub fn set_parked(&mut self, account: &str, parked: bool) {
        if parked {
            self.parked.insert(account.to_owned());
        } else {
            self.parked.remove(account);
        }
    }

    /// Whether nothing is chosen of an agent because of its account.
    #[must_use]
    pub fn is_parked(&self, agent: &str) -> bool {
        self.parked.contains(self.account_of(agent))
    }

    /// Whether nothing is chosen at all.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// The agents of which nothing is chosen.
    #[must_use]
    pub fn paused_agents(&self) -> &BTreeSet<String> {
        &self.paused_agents
    }

    /// How many tasks occupy a slot of an agent.
    #[must_use]
    pub fn occupied_by(&self, agent: &str) -> u32 {
        self.agents.get(agent).copied().unwrap_or(0)
    }

    /// How many tasks occupy a slot.
    #[must_use]
    pub fn occupied(&self) -> u32 {
        self.total
    }

    /// How many tasks are active.
    #[must_use]
    pub fn active(&self) -> usize {
        self.entries.len()
    }

    fn place(&mut self, task: &Task) -> Place {
        // Wall-clock time may step back; the order of numbers must not.
        self.newest = self.newest.max(task.spec.created_at);
        let head_start = i64::from(task.spec.priority).saturating_mul(AGEING);
        Place {
            rank: self.newest.0.saturating_sub(head_start),
            id: task.id,
        }
    }

    fn is_open(&self, lane: &Lane) -> bool {
        let below = |count: Option<&u32>, limit: Option<&u32>| {
            limit.is_none_or(|limit| count.copied().unwrap_or(0) < *limit)
        };
        let agent_open = !self.paused_agents.contains(&lane.agent)
            && !self.is_parked(&lane.agent)
            && below(
                self.agents.get(&lane.agent),
                self.capacity.agents.get(&lane.agent),
            );
        let repo_open = lane.repo.as_ref().is_none_or(|repo| {
            below(self.repos.get(repo), self.capacity.repos.get(repo))
                && (!lane.in_place || below(self.in_place.get(repo), Some(&1)))
        });
        agent_open && repo_open
    }

    fn remove(&mut self, id: TaskId) -> Option<Entry> {
        self.leave_lane(id);
        let entry = self.entries.remove(&id)?;
        if entry.occupied {
            self.count(&entry.lane, -1);
        }
        if let Some(key) = &entry.key
            && let Some(ids) = self.keys.get_mut(key)
        {
            ids.remove(&id);
            match ids.first().copied() {
                Some(head) => self.enter_lane(head),
                None => {
                    self.keys.remove(key);
                }
            }
        }
        Some(entry)
    }

    fn enter_lane(&mut self, id: TaskId) {
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        let heads = entry
            .key
            .as_ref()
            .is_none_or(|key| self.key_head(key) == Some(id));
        if entry.ready && heads {
            let (lane, place) = (entry.lane.clone(), entry.place);
            self.lanes.entry(lane).or_default().insert(place);
        }
    }

    fn leave_lane(&mut self, id: TaskId) {
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        if let Some(places) = self.lanes.get_mut(&entry.lane) {
            places.remove(&entry.place);
            if places.is_empty() {
                self.lanes.remove(&entry.lane);
            }
        }
    }

    fn count(&mut self, lane: &Lane, by: i32) {
        self.total = self.total.saturating_add_signed(by);
        add(&mut self.agents, &lane.agent, by);
        if let Some(repo) = &lane.repo {
            add(&mut self.repos, repo, by);
            if lane.in_place {
                add(&mut self.in_place, repo, by);
            }
        }
    }
}

fn add<K: Clone + Eq + std::hash::Hash>(counts: &mut HashMap<K, u32>, key: &K, by: i32) {
    let count = counts.entry(key.clone()).or_default();
    *count = count.saturating_add_signed(by);
    if *count == 0 {
        counts.remove(key);
    }
}

#[cfg(test)]
mod tests;
