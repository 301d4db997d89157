//! Where a new branch begins, and what its remote has that is not here yet.
//!
//! | base | the branch begins |
//! |---|---|
//! | a branch that its remote has, too, and that has no commits of its own | where the remote has it |
//! | one that has some | at the branch itself, with a note if the remote has others |
//! | a branch that only the remote has | there |
//! | any other name of a commit | at that commit |
//!
//! Without a base it is the branch that is checked out in the repository; if none
//! is, it begins at the commit that is. Nothing of the repository is changed but
//! what is known of the remote. A fetch holds no lock: one that outlives the
//! daemon is in nobody's way, and has limits of its own.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    WorkspaceError,
    git::{Git, GitError},
    leftover,
    snapshot::{commit_of, text},
    worktree::rev_parse,
};
use crate::{process::Cage, task::spec::Fetch};

/// How long a fetch may take: no start should come to its timeout because a
/// remote does not answer.
const LIMIT: Duration = Duration::from_secs(30);
/// Asks nobody for a password, and waits for no server that is gone.
const SSH: &str = "ssh -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=10";
/// Directories in each other that are looked through for locks.
const MAX_DEPTH: u32 = 16;

/// Where new branches of a repository begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base<'a> {
    /// The repository.
    pub(super) repo: &'a Path,
    /// The operator's word for it; `None`: what is checked out.
    pub(super) name: Option<&'a str>,
    /// Whether its remote is asked first.
    pub(super) fetch: Fetch,
    /// What holds git at the repository.
    pub(super) held: Option<&'a Cage>,
}

/// A local branch and where its remote is known to have it.
#[derive(Debug, Default)]
struct Names {
    /// The local branch, if there is one of that name.
    local: Option<String>,
    /// What is known of it at the remote.
    tracking: Option<String>,
    remote: Option<String>,
}

impl Base<'_> {
    /// The commit at which a new branch begins. `notes` gets what is worth
    /// knowing of it. Blocks, up to [`LIMIT`] and a little.
    pub(super) fn commit(&self, notes: &mut Vec<String>) -> Result<String, WorkspaceError> {
        if self.fetch == Fetch::Off {
            return self.verified(self.name.unwrap_or("HEAD"));
        }
        let names = self.names()?;
        if let Some(remote) = &names.remote
            && let Err(err) = self.fetch_from(remote)
        {
            if self.fetch == Fetch::Require {
                return Err(WorkspaceError::failed(format!(
                    "cannot fetch from {remote}: {err}; see that it can be reached, \
                     or set fetch = \"try\" for the repository"
                )));
            }
            notes.push(format!(
                "cannot fetch from {remote}, so the work begins with what is known of it: {err}"
            ));
        }
        self.choose(&names, notes)
    }

    fn choose(&self, names: &Names, notes: &mut Vec<String>) -> Result<String, WorkspaceError> {
        let git = self.git();
        let known = |name: &Option<String>| match name {
            Some(name) => commit_of(&git, name),
            None => Ok(None),
        };
        let shown = |name: &Option<String>| {
            let name = name.as_deref().unwrap_or_default();
            let short = name.strip_prefix("refs/remotes/");
            short
                .or(name.strip_prefix("refs/heads/"))
                .unwrap_or(name)
                .to_owned()
        };
        let Some(theirs) = known(&names.tracking)? else {
            return self.verified(self.name.unwrap_or("HEAD"));
        };
        let (branch, remote) = (shown(&names.local), shown(&names.tracking));
        match known(&names.local)? {
            Some(ours) if ours == theirs => Ok(ours),
            Some(ours) if self.is_ancestor(&theirs, &ours)? => Ok(ours),
            Some(ours) if !self.is_ancestor(&ours, &theirs)? => {
                notes.push(format!(
                    "{branch} and {remote} have both gone on: the work begins at {branch}"
                ));
                Ok(ours)
            }
            Some(_) | None => {
                notes.push(format!("the work begins at {remote}"));
                Ok(theirs)
            }
        }
    }

    fn is_ancestor(&self, old: &str, new: &str) -> Result<bool, GitError> {
        self.git()
            .asks(&[&"merge-base", &"--is-ancestor", &old, &new])
    }

    fn names(&self) -> Result<Names, WorkspaceError> {
        let remotes = text(self.git().call(&[&"remote"])?);
        let remotes: Vec<&str> = remotes.lines().collect();
        if remotes.is_empty() {
            return Ok(Names::default());
        }
        let Some(name) = self.branch_name()? else {
            // A detached checkout is the very commit that is wanted.
            return Ok(Names::default());
        };
        // As `origin/main`, and without a branch of that name here.
        let local = format!("refs/heads/{name}");
        let has_local = commit_of(&self.git(), &local)?.is_some();
        let behind = |remote: &&&str| {
            let rest = name.strip_prefix(**remote);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let named = remotes
            .iter()
            .filter(behind)
            .max_by_key(|remote| remote.len());
        if let (Some(remote), false) = (named, has_local) {
            return Ok(Names {
                remote: Some((*remote).to_owned()),
                ..Names::default()
            });
        }
        let (upstream, of) = self.upstream(&local)?;
        let remote = of.or_else(|| match remotes[..] {
            [only] => Some(only.to_owned()),
            _ => remotes.contains(&"origin").then(|| "origin".to_owned()),
        });
        let by_name = remote
            .as_ref()
            .map(|of| format!("refs/remotes/{of}/{name}"));
        Ok(Names {
            local: has_local.then_some(local),
            tracking: upstream.or(by_name),
            remote,
        })
    }

    /// The base without what git would understand anyway; `None`: nothing is
    /// named, and no branch is checked out.
    fn branch_name(&self) -> Result<Option<String>, WorkspaceError> {
        if let Some(name) = self.name {
            return Ok(Some(
                name.strip_prefix("refs/heads/").unwrap_or(name).to_owned(),
            ));
        }
        match self
            .git()
            .call(&[&"symbolic-ref", &"--quiet", &"--short", &"HEAD"])
        {
            Ok(name) => Ok(Some(text(name))),
            Err(GitError::Failed { .. }) => Ok(None),
            Err(err) => Err(err.into()),
        }
    }

    /// What a local branch follows, and of which remote that is.
    fn upstream(&self, local: &str) -> Result<(Option<String>, Option<String>), GitError> {
        let format = "--format=%(refname) %(upstream) %(upstream:remotename)";
        let listed = text(self.git().call(&[&"for-each-ref", &format, &local])?);
        let mut own = listed
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>());
        let found = own.find(|words| words.first() == Some(&local));
        let word = |at: usize| {
            let word = found.as_ref().and_then(|words| words.get(at));
            word.filter(|word| !word.is_empty())
                .map(|word| (*word).to_owned())
        };
        let upstream = word(1).filter(|name| name.starts_with("refs/remotes/"));
        Ok(match (upstream, word(2)) {
            (Some(upstream), Some(remote)) if remote != "." => (Some(upstream), Some(remote)),
            // It follows another branch of this repository, or nothing.
            _ => (None, None),
        })
    }

    fn fetch_from(&self, remote: &str) -> Result<(), WorkspaceError> {
        failpoint!("workspace.fetch.before").map_err(|err| WorkspaceError::io(self.repo, &err))?;
        let common = rev_parse(&self.git(), "--git-common-dir")?;
        let mut locks = vec![common.join("packed-refs.lock"), common.join("shallow.lock")];
        find_locks(
            &common.join("refs/remotes").join(remote),
            MAX_DEPTH,
            &mut locks,
        );
        leftover::clear(&locks, &[self.repo, &common])?;
        let mut env: Vec<(OsString, OsString)> = [
            ("GIT_ASKPASS", ""),
            ("SSH_ASKPASS_REQUIRE", "never"),
            ("GCM_INTERACTIVE", "never"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec();
        // One that the operator has chosen may take other arguments.
        if self.git().call(&[&"config", &"core.sshCommand"]).is_err() {
            env.push(("GIT_SSH_COMMAND".into(), SSH.into()));
        }
        let settings: [&dyn AsRef<OsStr>; 9] = [
            &"-c",
            &"http.lowSpeedLimit=1",
            &"-c",
            &"http.lowSpeedTime=20",
            &"fetch",
            &"--quiet",
            &"--no-write-fetch-head",
            &"--no-auto-maintenance",
            &"--no-recurse-submodules",
        ];
        let args = [&settings[..], &[&"--", &remote]].concat();
        let fetched = self.git().within(LIMIT).env(&env).call(&args);
        crashpoint!("workspace.fetch.after");
        fetched.map(drop).map_err(WorkspaceError::from)
    }

    /// The commit of this name.
    fn verified(&self, name: &str) -> Result<String, WorkspaceError> {
        let repo = self.repo.display();
        let commit = format!("{name}^{{commit}}");
        let verify: [&dyn AsRef<OsStr>; 4] =
            [&"rev-parse", &"--verify", &"--end-of-options", &commit];
        match (self.git().call(&verify), self.name) {
            (Ok(id), _) => Ok(text(id)),
            (Err(GitError::Failed { words, .. }), Some(_)) => Err(WorkspaceError::failed(format!(
                "base {name} is not a commit of {repo}: {words}; name a branch that it has"
            ))),
            (Err(GitError::Failed { words, .. }), None) => Err(WorkspaceError::failed(format!(
                "{repo} has nothing checked out to begin from: {words}; make a first commit, \
                 or set a base"
            ))),
            (Err(err), _) => Err(err.into()),
        }
    }

    fn git(&self) -> Git<'_> {
        Git::at(self.repo).held(self.held)
    }
}

/// The lock files below a directory of refs. What cannot be read has none that
/// could be removed.
fn find_locks(dir: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => find_locks(&path, depth - 1, found),
            Ok(_) if path.extension() == Some(OsStr::new("lock")) => found.push(path),
            Ok(_) | Err(_) => {}
        }
    }
}
