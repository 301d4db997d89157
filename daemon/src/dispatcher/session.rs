//! What an attempt is given of a session, now that its workspace is there, and
//! what it is told of those before it. Blocks.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use uuid::Uuid;

use crate::{
    agents::{self, Told},
    config::Agent,
    store::{Reader, StoreError},
    task::{
        attempt::{Attempt, Workspace},
        id::{AttemptId, TaskId},
        session::{Given, Place, verify},
        state::Task,
    },
    workspace,
};

/// The session that was chosen at the claim, looked for.
pub(super) fn given(
    reader: &Reader,
    agent: &Agent,
    task: &Task,
    attempt: &Attempt,
    workspace: &Workspace,
) -> Result<Given, StoreError> {
    let chosen = attempt.given.clone();
    let row = match chosen.resumes() {
        Some(id) => reader.session(&task.spec.agent, id)?,
        None => None,
    };
    let place = fs::metadata(&workspace.path).ok().map(|meta| Place {
        device: meta.dev(),
        inode: meta.ino(),
    });
    let id = chosen.session.clone().unwrap_or_default();
    let probe = || agents::probe(agent, &id);
    let here = (workspace.path.as_path(), place);
    let given = verify(chosen, row.as_ref(), task.spec.agent_type, here, probe);
    Ok(if agents::takes_id(agent.agent_type) {
        given.minted(uuid)
    } else {
        given
    })
}

/// What came before an attempt, for its agent.
pub(super) fn told(
    reader: &Reader,
    task: &Task,
    attempt: &Attempt,
    given: &Given,
    state_dir: &Path,
    workspace: &Workspace,
) -> Result<Told, StoreError> {
    let number = attempt.id.number;
    let row = match given.resumes() {
        Some(id) => reader.session(&task.spec.agent, id)?,
        None => None,
    };
    let before = match (number, task.spec.rerun_of) {
        (2.., _) => Some((task.id, number - 1)),
        (_, Some(of)) => last_number(reader, of)?.map(|number| (of, number)),
        (_, None) => row
            .as_ref()
            .map(|row| (row.attempt.task, row.attempt.number)),
    };
    let before = before.map(|(task, number)| reader.attempt(AttemptId { task, number }));
    Ok(Told {
        before: before.transpose()?.flatten(),
        // A private directory may lie inside of somebody's checkout.
        uncommitted: match &task.spec.repo {
            Some(repo) => workspace::uncommitted(state_dir, repo, workspace),
            None => None,
        },
        used: row.map(|row| row.used).unwrap_or_default(),
    })
}

fn last_number(reader: &Reader, task: TaskId) -> Result<Option<u32>, StoreError> {
    let task = reader.task(task)?;
    Ok(task.map(|task| task.attempts).filter(|number| *number > 0))
}

/// A random id, as agents want them.
fn uuid() -> String {
    Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::observed::is_session;

    #[test]
    fn ids_that_are_made_are_those_of_sessions() {
        let id = uuid();
        assert_ne!(id, uuid());
        assert!(is_session(&id), "{id}");
    }
}
