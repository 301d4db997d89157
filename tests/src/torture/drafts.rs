//! What agents have written and nobody has committed: none of it is lost, whatever
//! was killed, and whichever task began with a clean worktree.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use super::{AttemptName, load::Acknowledged, witness::Witness, world::World};
use crate::program::command;

/// The name of an attempt's draft begins with this.
const PREFIX: &str = "draft-";

/// Leaves a draft in the working directory, if that is a worktree.
pub(super) fn leave(attempt: &str) -> io::Result<()> {
    if !Path::new(".git").exists() {
        return Ok(());
    }
    fs::write(format!("{PREFIX}{attempt}"), content(attempt))
}

fn content(attempt: &str) -> String {
    format!("what attempt {attempt} has not committed\n")
}

/// How many drafts there are in worktrees and in what was recorded; and those that
/// are in neither, or are there with something else in them. The daemon does not
/// run.
pub(super) fn look_for(
    world: &World,
    witness: &Witness,
    acknowledged: &[Acknowledged],
) -> io::Result<(usize, Vec<String>)> {
    let of = |known: &Acknowledged| {
        let runs = witness.runs.get(&known.job.work.job);
        let attempts = runs.into_iter().flatten().map(|run| run.attempt);
        attempts
            .filter(|attempt| attempt.task == known.task)
            .collect::<Vec<_>>()
    };
    let worktrees = acknowledged.iter().filter(|known| known.job.worktree);
    let left: Vec<AttemptName> = worktrees.flat_map(of).collect();
    if left.is_empty() {
        return Ok((0, Vec::new()));
    }
    let found = [in_worktrees(world)?, recorded(world)?];
    let lost = left.iter().map(ToString::to_string).filter(|attempt| {
        let is_there = |place: &BTreeMap<String, BTreeSet<String>>| {
            let texts = place.get(&format!("{PREFIX}{attempt}"));
            texts.is_some_and(|texts| texts.contains(&content(attempt)))
        };
        !found.iter().any(is_there)
    });
    let lost: Vec<String> = lost
        .map(|attempt| format!("what attempt {attempt} had not committed is lost"))
        .collect();
    Ok((left.len() - lost.len(), lost))
}

/// The drafts that lie in worktrees: names, and what is in those of that name.
fn in_worktrees(world: &World) -> io::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    let listed = git(world, &["worktree", "list", "--porcelain"])?;
    let dirs = listed
        .lines()
        .filter_map(|line| line.strip_prefix("worktree "));
    for entry in dirs.map(PathBuf::from).filter(|dir| dir.exists()) {
        for file in fs::read_dir(entry)? {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with(PREFIX) {
                let text = fs::read_to_string(file.path())?;
                found.entry(name).or_default().insert(text);
            }
        }
    }
    Ok(found)
}

/// The same of all that was recorded.
fn recorded(world: &World) -> io::Result<BTreeMap<String, BTreeSet<String>>> {
    let refs = git(
        world,
        &["for-each-ref", "--format=%(refname)", "refs/agentd"],
    )?;
    let mut blobs = BTreeSet::new();
    for name in refs.lines() {
        let listed = git(
            world,
            &["ls-tree", "-r", "--format=%(objectname) %(path)", name],
        )?;
        let all = listed.lines().filter_map(|line| line.split_once(' '));
        let drafts = all.filter(|(_, path)| path.starts_with(PREFIX));
        blobs.extend(drafts.map(|(blob, path)| (blob.to_owned(), path.to_owned())));
    }
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    for (blob, path) in blobs {
        let text = git(world, &["cat-file", "blob", &blob])?;
        found.entry(path).or_default().insert(text);
    }
    Ok(found)
}

fn git(world: &World, args: &[&str]) -> io::Result<String> {
    let mut git = command(Path::new("git"), &world.home());
    git.arg("-C").arg(world.path().join("repo")).args(args);
    let said = git.output()?;
    if !said.status.success() {
        let why = String::from_utf8_lossy(&said.stderr).into_owned();
        return Err(io::Error::other(format!("git {args:?}: {why}")));
    }
    String::from_utf8(said.stdout).map_err(io::Error::other)
}
