//! Which of many tasks are to run again, and why the others are not.

use std::collections::HashMap;

use agentd_proto::v1::{self, State};

use crate::{
    output::{
        table::{cut, one_line},
        tasks::result_line,
    },
    view::{is_final, state_word},
};

/// Columns of a title behind what became of the task.
const TITLE_WIDTH: usize = 40;

/// What only one task at a time works on: what the daemon calls the key, and
/// where a task has none because nobody ran it again yet, its lineage.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Work {
    /// Of an agent, a repository and an issue.
    Key(String),
    /// Of the reruns of one task.
    Lineage(u64),
}

impl Work {
    fn of(task: &v1::Task) -> Self {
        if task.issue.is_empty() {
            Self::Lineage(task.lineage)
        } else {
            Self::Key(task.key.clone())
        }
    }
}

/// One task that matched.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Planned {
    /// Its number.
    pub(super) id: u64,
    /// What became of it, in one line for a person.
    pub(super) about: String,
    /// Why it is not to run again; `None` if it is.
    pub(super) skip: Option<String>,
}

/// Tasks that matched, and the newest task of the work of each.
#[derive(Debug, Default)]
pub(super) struct Plan {
    found: HashMap<u64, Found>,
    newest: HashMap<Work, (u64, State)>,
}

#[derive(Debug)]
struct Found {
    work: Work,
    about: String,
}

impl Plan {
    /// Takes a task that matched.
    pub(super) fn candidate(&mut self, task: &v1::Task) {
        let work = Work::of(task);
        let newest = (task.id, task.state());
        self.newest.entry(work.clone()).or_insert(newest);
        let about = about(task);
        self.found.insert(task.id, Found { work, about });
        self.seen(task);
    }

    /// Takes a task that there is, whether it matches or not.
    pub(super) fn seen(&mut self, task: &v1::Task) {
        if let Some(newest) = self.newest.get_mut(&Work::of(task))
            && newest.0 <= task.id
        {
            *newest = (task.id, task.state());
        }
    }

    /// The oldest that matched; no other before it needs to be seen.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.found.keys().min().copied()
    }

    /// All that matched, oldest first: so they were queued, so they are again.
    pub(super) fn finish(self) -> Vec<Planned> {
        let Self { found, newest } = self;
        let skip = |id: u64, work: &Work| {
            let &(last, state) = newest.get(work).filter(|newest| newest.0 != id)?;
            Some(if found.contains_key(&last) && is_final(state) {
                format!("task {last} of the same work is newer and is run again instead")
            } else {
                taken(last, state)
            })
        };
        let mut all: Vec<_> = found
            .iter()
            .map(|(&id, it)| Planned {
                id,
                about: it.about.clone(),
                skip: skip(id, &it.work),
            })
            .collect();
        all.sort_unstable_by_key(|planned| planned.id);
        all
    }
}

/// `task 50 is running already`, `task 50 came after it and succeeded`.
pub(super) fn taken(by: u64, state: State) -> String {
    let word = state_word(state);
    match state {
        State::Queued | State::Starting | State::Running | State::Stopping => {
            format!("task {by} of the same work is {word} already")
        }
        State::Succeeded | State::Failed | State::Unspecified => {
            format!("task {by} came after it and {word}")
        }
        State::Cancelled | State::Interrupted | State::Aborted => {
            format!("task {by} came after it and was {word}")
        }
    }
}

fn about(task: &v1::Task) -> String {
    let mut about = result_line(task);
    let title = cut(&one_line(&task.title), TITLE_WIDTH);
    if !title.is_empty() {
        about.push_str(" (");
        about.push_str(&title);
        about.push(')');
    }
    about
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: u64, lineage: u64, issue: &str, state: State) -> v1::Task {
        v1::Task {
            id,
            lineage,
            issue: issue.to_owned(),
            key: match issue {
                "" if id == lineage => String::new(),
                "" => format!("shell::@{lineage}"),
                issue => format!("shell:/app:{issue}"),
            },
            state: state.into(),
            title: format!("title\tof {id}"),
            failure_reason: "agent_error".to_owned(),
            message: "exit code 3".to_owned(),
            ..v1::Task::default()
        }
    }

    fn skips(candidates: &[v1::Task], others: &[v1::Task]) -> Vec<(u64, Option<String>)> {
        let mut plan = Plan::default();
        candidates.iter().for_each(|task| plan.candidate(task));
        // The list shows the candidates a second time.
        let all = candidates.iter().chain(others);
        all.for_each(|task| plan.seen(task));
        let planned = plan.finish().into_iter();
        planned.map(|it| (it.id, it.skip)).collect()
    }

    #[test]
    fn tasks_of_their_own_all_run_oldest_first() {
        let tasks = [
            task(9, 9, "7", State::Failed),
            task(5, 5, "", State::Aborted),
            task(2, 2, "", State::Interrupted),
        ];
        assert_eq!(skips(&tasks, &[]), [(2, None), (5, None), (9, None)]);
    }

    #[test]
    fn of_one_work_only_the_newest_runs() {
        let instead = |id| {
            Some(format!(
                "task {id} of the same work is newer and is run again instead"
            ))
        };
        let failed = |id, lineage, issue| task(id, lineage, issue, State::Failed);
        assert_eq!(
            skips(&[failed(6, 1, ""), failed(4, 1, ""), failed(1, 1, "")], &[]),
            [(1, instead(6)), (4, instead(6)), (6, None)]
        );
        // Submitted twice for one issue, in whatever order they come.
        assert_eq!(
            skips(&[failed(3, 3, "7"), failed(8, 8, "7")], &[]),
            [(3, instead(8)), (8, None)]
        );
    }

    #[test]
    fn what_came_later_counts_though_it_does_not_match() {
        for (state, why) in [
            (State::Queued, "task 4 of the same work is queued already"),
            (State::Running, "task 4 of the same work is running already"),
            (State::Succeeded, "task 4 came after it and succeeded"),
            (State::Cancelled, "task 4 came after it and was cancelled"),
        ] {
            let tasks = [task(1, 1, "", State::Failed)];
            let skip = Some(why.to_owned());
            assert_eq!(skips(&tasks, &[task(4, 1, "", state)]), [(1, skip)]);
        }
        // Other work, and what came before, does not.
        let tasks = [task(5, 5, "7", State::Failed)];
        let others = [
            task(6, 6, "8", State::Running),
            task(4, 4, "7", State::Succeeded),
            task(7, 7, "", State::Running),
        ];
        assert_eq!(skips(&tasks, &others), [(5, None)]);
    }

    #[test]
    fn a_task_in_one_line() {
        assert_eq!(
            about(&task(2, 2, "", State::Failed)),
            "task 2 failed: agent_error: exit code 3 (title of 2)"
        );
    }
}
