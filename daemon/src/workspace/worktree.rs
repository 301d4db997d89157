//! One worktree: what is found at its place, and what is done about it.
//!
//! | at the path | git lists it | done |
//! |---|---|---|
//! | nothing, or an empty directory | no | brought here from where it was before the repository was moved, else made, on its branch if it has had one |
//! | nothing, or an empty directory | yes | the entry is removed, then made |
//! | a directory | yes, half-made | removed by git, then made |
//! | a directory | yes | looked over, then used as it is |
//! | a directory | no | repaired if it was moved and is this one, else reported |
//! | anything else | | reported |

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    WorkspaceError,
    fetch::Base,
    git::{Git, GitError},
    held::Held,
    leftover,
    list::{self, Entry},
    places,
    reuse::{self, Next},
    snapshot::{Checkout, commit_of},
};
use crate::{
    file,
    task::{attempt::Workspace, spec::WorkspaceReuse},
};

/// How long a checkout may take: a large repository takes minutes. Whoever waits for
/// the workspace waits longer ([`WORKSPACE_TIMEOUT`](crate::task::limits::WORKSPACE_TIMEOUT)).
const ADD_LIMIT: Duration = Duration::from_secs(600);
/// A longer log of what was checked out is not read, bytes.
const MAX_LOG: u64 = 64 * 1024 * 1024;

/// Where a new branch begins, and what is to be known of it.
pub(super) struct Begin<'a> {
    pub(super) base: Base<'a>,
    pub(super) notes: &'a mut Vec<String>,
}

impl Begin<'_> {
    fn commit(&mut self) -> Result<String, WorkspaceError> {
        self.base.commit(self.notes)
    }
}

/// Where a worktree belongs.
pub(super) struct Place<'a> {
    /// The repository.
    pub(super) repo: &'a Path,
    /// The worktree's canonical path.
    pub(super) path: PathBuf,
    /// The branch on which it is made.
    pub(super) branch: String,
    /// Whether a branch of that name is one to go on with; else it belongs to
    /// somebody else, for example to the task of an earlier state directory.
    pub(super) reused: bool,
    /// The lock of the repository's worktrees.
    pub(super) lock: &'a File,
    /// Who gets it.
    pub(super) next: Next<'a>,
    /// What holds git at the repository.
    pub(super) held: &'a Held,
}

enum Found {
    Nothing,
    EmptyDirectory,
    Directory,
    Other,
}

impl Place<'_> {
    fn find_or_make(&self, base: &mut Begin<'_>) -> Result<Workspace, WorkspaceError> {
        let entries = list::entries(&self.git())?;
        let common = rev_parse(&self.git(), "--git-common-dir")?;
        let mut dirs: Vec<&Path> = entries.iter().map(|entry| &*entry.path).collect();
        dirs.extend([self.repo, &common]);
        leftover::clear_idle(&leftover::shared(&common), &dirs);
        let entry = entries.into_iter().find(|entry| entry.path == self.path);
        let found = look(&self.path).map_err(|err| WorkspaceError::io(&self.path, &err))?;
        match (found, entry) {
            (Found::Nothing, None) => self.make_or_fetch(&common, base),
            (Found::EmptyDirectory, None) => {
                self.remove_empty()?;
                self.make_or_fetch(&common, base)
            }
            (Found::Nothing, Some(entry)) => {
                self.forget(&entry)?;
                self.make(base)
            }
            (Found::EmptyDirectory, Some(entry)) => {
                self.remove_empty()?;
                self.forget(&entry)?;
                self.make(base)
            }
            (Found::Directory, Some(entry)) if entry.is_half_made() => {
                self.undo(&entry)?;
                self.make(base)
            }
            (Found::Directory, Some(_)) => self.reuse(base),
            (Found::Directory, None) if self.repair(&common)? => self.reuse(base),
            (Found::Directory, None) => Err(self.foreign("git does not list it as a worktree")),
            (Found::Other, _) => Err(self.foreign("it is not a directory")),
        }
    }

    /// Makes the worktree, or finds it as it was left, and writes down who has
    /// it.
    pub(super) fn prepare(&self, mut base: Begin<'_>) -> Result<Workspace, WorkspaceError> {
        let workspace = self.find_or_make(&mut base)?;
        self.next.records.note_attempt(self.next.attempt);
        Ok(workspace)
    }

    fn make_or_fetch(
        &self,
        common: &Path,
        base: &mut Begin<'_>,
    ) -> Result<Workspace, WorkspaceError> {
        if self.reused && self.fetch_home(common)? {
            return self.reuse(base);
        }
        self.make(base)
    }

    fn make(&self, base: &mut Begin<'_>) -> Result<Workspace, WorkspaceError> {
        let common = rev_parse(&self.git(), "--git-common-dir")?;
        leftover::clear(&[self.branch_lock(&common, &self.branch)], &[&self.path])?;
        // Nothing of what is known of an earlier one holds of this one.
        self.next.records.forget()?;
        let held = self.held_for_new()?;
        let git = self.git().held(held.repo());
        let add: [&dyn AsRef<OsStr>; 3] = [&"worktree", &"add", &"--no-track"];
        let branch = self.branch_to_use()?;
        let exists = self.has_branch(&branch)?;
        if exists && self.next.reuse != WorkspaceReuse::Fresh {
            self.next.wanted.check()?;
            let add: [&dyn AsRef<OsStr>; 2] = [add[0], add[1]];
            let made = git
                .within(ADD_LIMIT)
                .call(&[&add[..], &[&self.path, &branch]].concat());
            made.map_err(|err| self.not_made(err))?;
        } else {
            let base = base.commit()?;
            self.next.wanted.check()?;
            reuse::keep_branch(&git, &self.next, &branch, &base)?;
            let made = git
                .within(ADD_LIMIT)
                .call(&[&add[..], &[&"-B", &branch, &self.path, &base]].concat());
            made.map_err(|err| self.not_made(err))?;
        }
        let mut workspace = Workspace::at(self.path.clone(), Some(branch));
        workspace.head = commit_of(&self.git_inside().held(held.repo()), "HEAD")?;
        Ok(workspace)
    }

    /// What holds git at the repository while it makes the worktree. Rules are of what
    /// is there: an empty directory.
    fn held_for_new(&self) -> Result<Held, WorkspaceError> {
        if self.held.repo().is_none() {
            return Ok(Held::default());
        }
        super::make_dir(&self.path)?;
        Held::at_repo(self.dir(), self.repo, Some(&self.path))
    }

    /// The directory of the repository's worktrees.
    fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// The branch, or if that is taken by somebody else, the next free one
    /// with a number behind it.
    fn branch_to_use(&self) -> Result<String, WorkspaceError> {
        let mut branch = self.branch.clone();
        let mut number = 1;
        while !self.reused && self.has_branch(&branch)? {
            number += 1;
            branch = format!("{}-{number}", self.branch);
        }
        Ok(branch)
    }

    fn is_own(&self, branch: &str) -> bool {
        branch.strip_prefix(&self.branch).is_some_and(|rest| {
            let number = rest.strip_prefix('-').unwrap_or(rest);
            number.bytes().all(|byte| byte.is_ascii_digit())
        })
    }

    /// Uses what is there once it is sure to be a whole worktree of the
    /// repository.
    fn reuse(&self, base: &mut Begin<'_>) -> Result<Workspace, WorkspaceError> {
        let git = self.git_inside();
        // Without its own .git file, git would find a repository around it.
        let top = rev_parse(&git, "--show-toplevel").map_err(|err| self.damaged(&err))?;
        let common = rev_parse(&git, "--git-common-dir").map_err(|err| self.damaged(&err))?;
        let own = rev_parse(&git, "--absolute-git-dir").map_err(|err| self.damaged(&err))?;
        if top != self.path || common != rev_parse(&self.git(), "--git-common-dir")? {
            let top = top.display();
            return Err(self.broken(&format!("its .git file leads to {top}")));
        }
        let found = places::of_repo(self.repo, &self.path)?;
        let held = Held::at(self.dir(), self.repo, &self.path, &found)?;
        let git = git.held(held.inside());
        let branch = self.checked_out(&git)?;
        let mut locks = vec![own.join("index.lock"), own.join("HEAD.lock")];
        locks.extend(branch.iter().map(|name| self.branch_lock(&common, name)));
        leftover::clear(&locks, &[&self.path, &own])?;
        let fresh = self.next.reuse == WorkspaceReuse::Fresh;
        if branch.as_ref() == Some(&self.branch) && !fresh && !self.has_branch(&self.branch)? {
            let (path, repo, branch) = (self.path.display(), self.repo.display(), &self.branch);
            let commit = last_commit(&own).unwrap_or_else(|| "<commit>".to_owned());
            return Err(WorkspaceError::failed(format!(
                "branch {branch} is gone, and {path} is on it; \
                 make it again with: git -C {repo} branch {branch} {commit}"
            )));
        }
        self.mend_index(&git, &own.join("index"))?;
        self.hand_over(branch, base, &held)
    }

    /// Records what is there, and sets it to what the next attempt wants.
    fn hand_over(
        &self,
        branch: Option<String>,
        base: &mut Begin<'_>,
        held: &Held,
    ) -> Result<Workspace, WorkspaceError> {
        let checkout = Checkout {
            path: &self.path,
            lock: self.lock,
            held: held.inside(),
        };
        let mut workspace = Workspace::at(self.path.clone(), branch);
        match self.next.reuse {
            WorkspaceReuse::Keep => {
                reuse::keep(&checkout, &self.next, &mut workspace);
                return Ok(workspace);
            }
            WorkspaceReuse::Reset => {
                self.next.records.forget_setup()?;
                reuse::reset(&checkout, &self.next)?;
            }
            WorkspaceReuse::Fresh => {
                // One that was made with a number behind it is gone on with.
                let own = workspace.branch.take().filter(|name| self.is_own(name));
                let branch = own.unwrap_or_else(|| self.branch.clone());
                let base = base.commit()?;
                self.next.records.forget_setup()?;
                reuse::fresh(&checkout, &self.next, &branch, &base)?;
                workspace.branch = Some(branch);
            }
        }
        workspace.head = commit_of(&checkout.git(), "HEAD")?;
        Ok(workspace)
    }

    /// An index that is missing is built again from the commit; files stay as
    /// they are. One that cannot be read is reported.
    fn mend_index(&self, git: &Git<'_>, index: &Path) -> Result<(), WorkspaceError> {
        match index.symlink_metadata() {
            Ok(_) => {
                let read: [&dyn AsRef<OsStr>; 3] = [&"ls-files", &"--", &".git"];
                let broken = git.call(&read).err();
                broken.map_or(Ok(()), |err| Err(self.damaged(&err)))
            }
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                let empty = only_git_file(&self.path);
                let empty = empty.map_err(|err| WorkspaceError::io(&self.path, &err))?;
                // With nothing there, the checkout never began.
                let how = if empty { "--hard" } else { "--mixed" };
                git.call(&[&"reset", &"--quiet", &how])?;
                Ok(())
            }
            Err(err) => Err(WorkspaceError::io(index, &err)),
        }
    }

    /// Removes what a killed `git worktree add` left. Git itself says that it
    /// was still making it, so nobody has worked there.
    fn undo(&self, entry: &Entry) -> Result<(), WorkspaceError> {
        let Err(err) = self.remove_entry() else {
            return Ok(());
        };
        // Git does not remove one that has no HEAD yet: then it holds nothing
        // but the file that leads to the repository.
        let removed = only_git_file(&self.path)
            .map_err(|err| WorkspaceError::io(&self.path, &err))
            .and_then(|only| {
                if only {
                    Ok(())
                } else {
                    Err(self.damaged(&err))
                }
            })
            .and_then(|()| {
                fs::remove_file(self.path.join(".git"))
                    .map_err(|err| WorkspaceError::io(&self.path, &err))
            });
        removed?;
        self.remove_empty()?;
        self.forget(entry)
    }

    /// Removes git's entry of a worktree whose directory is gone, and no other.
    fn forget(&self, entry: &Entry) -> Result<(), WorkspaceError> {
        match &entry.locked {
            Some(reason) if !entry.is_half_made() => {
                let (path, repo) = (self.path.display(), self.repo.display());
                let reason = String::from_utf8_lossy(reason);
                Err(WorkspaceError::failed(format!(
                    "{path} is gone, and its worktree is locked: {reason}; \
                     bring it back, or run: git -C {repo} worktree unlock {path}"
                )))
            }
            _ => Ok(self.remove_entry()?),
        }
    }

    fn remove_entry(&self) -> Result<(), GitError> {
        let force: [&dyn AsRef<OsStr>; 5] =
            [&"worktree", &"remove", &"--force", &"--force", &self.path];
        self.git().call(&force).map(drop)
    }

    fn remove_empty(&self) -> Result<(), WorkspaceError> {
        fs::remove_dir(&self.path).map_err(|err| WorkspaceError::io(&self.path, &err))
    }

    fn has_branch(&self, branch: &str) -> Result<bool, GitError> {
        let name = format!("refs/heads/{branch}");
        self.git()
            .asks(&[&"rev-parse", &"--verify", &"--quiet", &name])
    }

    /// The branch that is checked out; `None` if none is.
    fn checked_out(&self, git: &Git<'_>) -> Result<Option<String>, WorkspaceError> {
        match git.call(&[&"symbolic-ref", &"--quiet", &"HEAD"]) {
            Ok(name) => {
                let name = String::from_utf8_lossy(&name).into_owned();
                Ok(name.strip_prefix("refs/heads/").map(str::to_owned))
            }
            Err(GitError::Failed { code: Some(1), .. }) => Ok(None),
            Err(err) => Err(self.damaged(&err)),
        }
    }

    fn branch_lock(&self, common: &Path, branch: &str) -> PathBuf {
        common.join(format!("refs/heads/{branch}.lock"))
    }

    /// Not held: for what runs no program.
    pub(super) fn git(&self) -> Git<'_> {
        Git::at(self.repo).holding(self.lock)
    }

    fn git_inside(&self) -> Git<'_> {
        Git::at(&self.path).holding(self.lock)
    }

    fn foreign(&self, why: &str) -> WorkspaceError {
        let (path, repo) = (self.path.display(), self.repo.display());
        // A .git file: it was a worktree once, and can be one again.
        let hint = if self.path.join(".git").is_file() {
            format!("move it away, or run: git -C {repo} worktree repair {path}")
        } else {
            "move it away".to_owned()
        };
        WorkspaceError::failed(format!("{path} is in the way: {why} of {repo}; {hint}"))
    }

    /// Git's words, and what to do if its branch is in use.
    fn not_made(&self, err: GitError) -> WorkspaceError {
        let words = err.to_string();
        let in_use = ["already used by worktree", "already checked out"];
        if !in_use.iter().any(|known| words.contains(known)) {
            return super::not_made(err, &self.path);
        }
        WorkspaceError::failed(format!(
            "{words}; switch that to another branch, or if it is gone, run: \
             git -C {} worktree prune",
            self.repo.display()
        ))
    }

    fn damaged(&self, err: &GitError) -> WorkspaceError {
        self.broken(&err.to_string())
    }

    fn broken(&self, words: &str) -> WorkspaceError {
        let (path, repo) = (self.path.display(), self.repo.display());
        WorkspaceError::failed(format!(
            "{path} is damaged: {words}; save what you need of it, then run: \
             git -C {repo} worktree repair {path}, or move it away"
        ))
    }
}

pub(super) fn rev_parse(git: &Git<'_>, what: &str) -> Result<PathBuf, GitError> {
    let answer = git.call(&[&"rev-parse", &"--path-format=absolute", &what])?;
    let path = PathBuf::from(OsString::from_vec(answer));
    Ok(fs::canonicalize(&path).unwrap_or(path))
}

/// The commit that was checked out last, by what git keeps of a worktree whose
/// branch is gone.
fn last_commit(own: &Path) -> Option<String> {
    let log = file::read(&own.join("logs/HEAD"), MAX_LOG).ok()?;
    let log = String::from_utf8_lossy(&log);
    let commit = log.lines().next_back()?.split(' ').nth(1)?;
    let is_id = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id && commit.bytes().any(|byte| byte != b'0')).then(|| commit.to_owned())
}

fn look(path: &Path) -> io::Result<Found> {
    match path.symlink_metadata() {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(err) => Err(err),
        Ok(metadata) if !metadata.is_dir() => Ok(Found::Other),
        Ok(_) => match fs::read_dir(path)?.next() {
            None => Ok(Found::EmptyDirectory),
            Some(_) => Ok(Found::Directory),
        },
    }
}

/// Nothing but the file that leads to the repository.
fn only_git_file(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() != ".git" || !entry.file_type()?.is_file() {
            return Ok(false);
        }
    }
    Ok(true)
}
