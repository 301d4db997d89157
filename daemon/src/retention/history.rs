//! Rows of tasks that ended long ago.

use super::{Item, Pass, PruneError, Thing};
use crate::{
    dispatcher::Pruning,
    store::Filter,
    task::{
        id::TaskId,
        retention::{Aged, Stays, plan},
    },
};

/// Rows that one snapshot is used for.
const PAGE: usize = 1000;
/// Tasks that one transaction forgets, unless a single lineage has more.
const BATCH: usize = 100;

impl Pass<'_> {
    /// Forgets the lineages that are old enough.
    pub(super) fn history(&mut self) -> Result<(), PruneError> {
        let Some(age) = self.wish.tasks else {
            return Ok(());
        };
        // Before the look at them: what is added since is looked at again.
        let seen = self.collector.store.reader()?.next_task()?;
        let found = plan(&self.tasks()?, age, self.wish.keep, self.now);
        for (task, why) in found.stays {
            self.told(Item::stays(Thing::Task(task), words(why)))?;
        }
        let mut batch: Vec<Vec<TaskId>> = Vec::new();
        let mut size = 0;
        for lineage in found.lineages {
            let busy = lineage.iter().find(|task| self.is_under_way(**task));
            if let Some(task) = busy {
                let why = "the files of its attempt are not put away yet";
                self.told(Item::stays(Thing::Task(*task), why))?;
                continue;
            }
            size += lineage.len();
            batch.push(lineage);
            if size >= BATCH {
                self.forget(std::mem::take(&mut batch), seen)?;
                size = 0;
            }
        }
        self.forget(batch, seen)
    }

    /// What counts of every task there is.
    fn tasks(&self) -> Result<Vec<Aged>, PruneError> {
        let mut tasks = Vec::new();
        let mut before = None;
        loop {
            self.goes_on()?;
            let reader = self.collector.store.reader()?;
            let page = reader.list(&Filter::default(), before, PAGE)?.tasks;
            tasks.extend(page.iter().map(Aged::of));
            match page.last() {
                Some(last) if page.len() == PAGE => before = Some(last.id),
                Some(_) | None => return Ok(tasks),
            }
        }
    }

    fn forget(&mut self, lineages: Vec<Vec<TaskId>>, seen: TaskId) -> Result<(), PruneError> {
        if lineages.is_empty() {
            return Ok(());
        }
        let mut tasks = lineages.concat();
        if !self.wish.dry_run {
            let pruned = self.ask(Pruning {
                lineages,
                seen,
                transcripts: Vec::new(),
                at: self.now,
            })?;
            tasks.retain(|task| {
                let gone = pruned.tasks.contains(task);
                if !gone {
                    tracing::debug!(%task, "it is needed after all");
                }
                gone
            });
        }
        for task in tasks {
            self.told(Item::goes(Thing::Task(task), 0))?;
        }
        Ok(())
    }
}

fn words(why: Stays) -> String {
    match why {
        Stays::Newest => "one of the newest tasks, or of their lineages".to_owned(),
        Stays::Lineage(task) => format!("task {task} of its lineage is active or not old enough"),
        Stays::Request => "its request may be repeated within an hour".to_owned(),
    }
}
