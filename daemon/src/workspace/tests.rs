mod collected;
mod damage;
mod fetches;
mod held;
mod locks;
mod modes;
mod moved;
mod nothing_lost;
mod odd;
mod reuses;
mod setups;
mod snapshots;
mod wanted;
mod worktrees;

use std::{ffi::OsStr, os::unix::fs::PermissionsExt as _};

use tempfile::TempDir;

use super::{git::Git, *};

/// A repository with one commit, and a state directory beside it.
struct Sandbox {
    _dir: TempDir,
    root: PathBuf,
    repo: PathBuf,
    state: PathBuf,
}

impl Sandbox {
    fn new() -> Self {
        let sandbox = Self::unborn();
        sandbox.write("file", "one\n");
        sandbox.commit("first");
        sandbox
    }

    fn unborn() -> Self {
        Self::within(tempfile::tempdir().unwrap())
    }

    fn within(dir: TempDir) -> Self {
        let root = dir.path().canonicalize().unwrap();
        let repo = root.join("app");
        git(&root, &["init", "--quiet", "-b", "main", "app"]);
        let state = root.join("state");
        Self {
            _dir: dir,
            root,
            repo,
            state,
        }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.repo.join(name), text).unwrap();
    }

    fn commit(&self, message: &str) {
        commit(&self.repo, message);
    }

    fn request(&self, issue: Option<&str>) -> Request {
        Request {
            mode: WorkspaceMode::Worktree,
            repo: Some(self.repo.clone()),
            agent: "shell".to_owned(),
            issue: issue.map(str::to_owned),
            task: TaskId::new(7).unwrap(),
            reused: issue.is_some(),
            branch: None,
            base: None,
            fetch: Fetch::Off,
            state_dir: self.state.clone(),
            attempt: attempt(7, 1),
            reuse: WorkspaceReuse::Keep,
        }
    }

    /// Prepares the worktree of an issue.
    fn prepare(&self, issue: &str) -> Result<Workspace, WorkspaceError> {
        prepare(&self.request(Some(issue)))
    }

    /// Git's own directory of a worktree.
    fn inside(&self, workspace: &Workspace) -> PathBuf {
        PathBuf::from(git(&workspace.path, &["rev-parse", "--absolute-git-dir"]))
    }

    /// Makes git kill itself, its children included, when it checks out `name`.
    fn kill_at(&self, name: &str) {
        self.filter(name, "kill -9 0");
    }

    fn filter(&self, name: &str, smudge: &str) {
        git(&self.repo, &["config", "filter.trap.smudge", smudge]);
        let info = self.repo.join(".git/info");
        fs::create_dir_all(&info).unwrap();
        fs::write(info.join("attributes"), format!("{name} filter=trap\n")).unwrap();
    }

    fn disarm(&self) {
        fs::remove_file(self.repo.join(".git/info/attributes")).unwrap();
    }
}

fn prepare(request: &Request) -> Result<Workspace, WorkspaceError> {
    super::prepare(request, &|| true, &mut Vec::new())
}

fn attempt(task: u64, number: u32) -> AttemptId {
    AttemptId {
        task: TaskId::new(task).unwrap(),
        number,
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let args: Vec<&dyn AsRef<OsStr>> = args.iter().map(|arg| arg as &dyn AsRef<OsStr>).collect();
    let output = Git::at(dir).call(&args).unwrap();
    String::from_utf8(output).unwrap()
}

fn commit(dir: &Path, message: &str) {
    git(dir, &["add", "--all"]);
    let name = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"];
    let rest = [
        "commit",
        "--quiet",
        "--allow-empty",
        "--no-gpg-sign",
        "-m",
        message,
    ];
    git(dir, &[&name[..], &rest[..]].concat());
}

/// Which workspace it is, however it was found.
fn place(workspace: &Workspace) -> (&Path, Option<&str>) {
    (&workspace.path, workspace.branch.as_deref())
}

fn status(workspace: &Workspace) -> String {
    let words = ["status", "--porcelain", "--untracked-files=normal"];
    git(&workspace.path, &words)
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[track_caller]
fn assert_failed(result: Result<Workspace, WorkspaceError>, words: &[&str]) {
    let err = result.unwrap_err();
    assert_eq!(err.reason, FailureReason::WorkspaceFailed, "{err}");
    assert!(!err.message.contains('\n'));
    for word in words {
        assert!(err.message.contains(word), "no {word:?} in: {err}");
    }
}
