//! Whatever an agent does with git and its files, and whatever is then done
//! with its workspace: no byte that was uncommitted when we did something is
//! lost by it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::workspace::{
    remove,
    snapshot::{commit_of, names},
    worktree::rev_parse,
};

/// Files that agents write; some are in the way of others.
const PATHS: [&str; 6] = ["file", "a", "d", "d/x", "d/e/y", "new\nline"];

/// What an agent, or a person, does. What git refuses is not done.
#[derive(Debug, Clone, Copy)]
enum Act {
    Write(usize),
    Delete(usize),
    Link(usize),
    Stage(usize),
    /// Git forgets it, and its file stays.
    Untrack(usize),
    Ignore(usize),
    /// Untracked, ignored, and written anew: in the way of what is committed.
    Hide(usize),
    /// Git does not look whether it has changed.
    Assume(usize),
    /// The same, as in a sparse checkout.
    Skip(usize),
    StageAll,
    Commit,
    Branch,
    Detach,
    Back,
    /// Merge, rebase or pick a commit that changes the same file.
    Clash(usize),
    /// A git that was killed leaves its lock.
    Lock,
    Nested,
    /// The base goes on, with a file of this name.
    Base(usize),
}

/// What we do.
#[derive(Debug, Clone, Copy)]
enum Ours {
    End,
    Give(WorkspaceReuse),
    Remove(Terms),
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Theirs(Act),
    Ours(Ours),
}

fn step() -> impl Strategy<Value = Step> {
    let path = 0..PATHS.len();
    let act = prop_oneof![
        6 => path.clone().prop_map(Act::Write),
        2 => path.clone().prop_map(Act::Delete),
        1 => path.clone().prop_map(Act::Link),
        2 => path.clone().prop_map(Act::Stage),
        1 => path.clone().prop_map(Act::Untrack),
        1 => path.clone().prop_map(Act::Ignore),
        2 => path.clone().prop_map(Act::Hide),
        1 => path.clone().prop_map(Act::Assume),
        1 => path.clone().prop_map(Act::Skip),
        1 => Just(Act::StageAll),
        3 => Just(Act::Commit),
        1 => Just(Act::Branch),
        1 => Just(Act::Detach),
        1 => Just(Act::Back),
        2 => (0..3_usize).prop_map(Act::Clash),
        1 => Just(Act::Lock),
        1 => Just(Act::Nested),
        1 => path.prop_map(Act::Base),
    ];
    let ours = prop_oneof![
        2 => Just(Ours::End),
        2 => Just(Ours::Give(WorkspaceReuse::Keep)),
        2 => Just(Ours::Give(WorkspaceReuse::Reset)),
        2 => Just(Ours::Give(WorkspaceReuse::Fresh)),
        2 => (any::<bool>(), any::<bool>())
            .prop_map(|(record, branch)| Ours::Remove(Terms { record, branch, forced: false })),
    ];
    prop_oneof![
        3 => act.prop_map(Step::Theirs),
        1 => ours.prop_map(Step::Ours),
    ]
}

struct World {
    sandbox: Sandbox,
    workspace: Workspace,
    /// Each text is written once.
    texts: u32,
    task: u64,
    /// Blobs that were uncommitted at an operation that went well.
    uncommitted: BTreeSet<String>,
}

impl World {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let workspace = sandbox.prepare("42").unwrap();
        Self {
            sandbox,
            workspace,
            texts: 0,
            task: 100,
            uncommitted: BTreeSet::new(),
        }
    }

    fn text(&mut self) -> String {
        self.texts += 1;
        // Line ends that would not survive a conversion.
        format!("text {}\r\n\n", self.texts)
    }

    /// Runs git as an agent does.
    fn git(&self, args: &[&str]) {
        let words = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"];
        let words: Vec<&dyn AsRef<OsStr>> = words
            .iter()
            .chain(args)
            .map(|word| word as &dyn AsRef<OsStr>)
            .collect();
        drop(Git::at(&self.workspace.path).call(&words));
    }

    fn theirs(&mut self, act: Act) {
        let top = self.workspace.path.clone();
        match act {
            Act::Write(path) => {
                let text = self.text();
                make_room(&top, PATHS[path]);
                fs::write(top.join(PATHS[path]), text).unwrap();
            }
            Act::Link(path) => {
                let text = self.text().replace(['\r', '\n'], "");
                make_room(&top, PATHS[path]);
                std::os::unix::fs::symlink(text, top.join(PATHS[path])).unwrap();
            }
            Act::Delete(path) => discard(&top.join(PATHS[path])),
            Act::Stage(path) => self.git(&["add", "--force", "--", PATHS[path]]),
            Act::Untrack(path) => self.git(&["rm", "-r", "-q", "--cached", "--", PATHS[path]]),
            Act::Ignore(path) => {
                let file = top.join(".gitignore");
                let mut list = fs::read_to_string(&file).unwrap_or_default();
                list.push_str(&format!("/{}\n", PATHS[path]));
                fs::write(file, list).unwrap();
            }
            Act::Hide(path) => {
                self.theirs(Act::Untrack(path));
                self.theirs(Act::Ignore(path));
                self.theirs(Act::Write(path));
            }
            Act::Assume(path) => {
                self.git(&["update-index", "--assume-unchanged", "--", PATHS[path]]);
            }
            Act::Skip(path) => {
                self.git(&["update-index", "--skip-worktree", "--", PATHS[path]]);
            }
            Act::StageAll => self.git(&["add", "--all"]),
            Act::Commit => {
                self.texts += 1;
                let message = format!("commit {}", self.texts);
                self.git(&["commit", "-q", "--no-gpg-sign", "-m", &message]);
            }
            Act::Branch => {
                self.texts += 1;
                self.git(&["switch", "-q", "-c", &format!("b{}", self.texts)]);
            }
            Act::Detach => self.git(&["switch", "-q", "--detach"]),
            Act::Back => self.git(&["switch", "-q", "agent/shell-42"]),
            Act::Clash(how) => {
                let text = self.text();
                // Made in the repository itself, so that nothing here is touched.
                self.sandbox.write("file", &text);
                self.sandbox.commit("theirs");
                let how = ["merge", "rebase", "cherry-pick"][how];
                self.git(&[how, "main"]);
            }
            Act::Lock => {
                let own = self.sandbox.inside(&self.workspace);
                fs::write(own.join("index.lock"), "").unwrap();
            }
            Act::Nested => {
                self.git(&["init", "-q", "nested"]);
                let text = self.text();
                fs::write(top.join("nested/inside"), text).unwrap();
            }
            Act::Base(path) => {
                let text = self.text();
                make_room(&self.sandbox.repo, PATHS[path]);
                self.sandbox.write(PATHS[path], &text);
                self.sandbox.commit("base");
            }
        }
    }

    fn ours(&mut self, ours: Ours) {
        let before = Seen::of(&self.workspace.path);
        self.task += 1;
        let went_well = match ours {
            Ours::End => {
                let ended = Ended {
                    attempt: attempt(self.task, 1),
                    workspace: self.workspace.clone(),
                    repo: self.sandbox.repo.clone(),
                    state_dir: self.sandbox.state.clone(),
                };
                conclude(&ended, || true)
                    .map(drop)
                    .map_err(|err| err.message)
            }
            Ours::Give(reuse) => self.give(reuse),
            Ours::Remove(terms) => {
                let path = self.workspace.path.clone();
                let removed = remove(&self.sandbox.state, &path, terms, |_| None, |_| None);
                removed.map(drop).map_err(|err| err.to_string())
            }
        };
        let removed = !self.workspace.path.exists();
        let after = match removed {
            true => Seen::default(),
            false => Seen::of(&self.workspace.path),
        };
        let reachable = self.reachable();
        if let Err(words) = &went_well {
            assert_eq!(after.files, before.files, "{ours:?} refused: {words}");
        } else {
            self.uncommitted.extend(before.uncommitted.clone());
        }
        let lost: Vec<_> = self.uncommitted.difference(&reachable).collect();
        assert!(
            lost.is_empty(),
            "{ours:?}, {went_well:?}: {lost:?} of {before:?}"
        );
        // What is ignored, and repositories inside, are still there or recorded
        // unless the worktree itself was removed, which git refuses for these.
        let gone = before.all.difference(&after.all);
        let gone: Vec<_> = gone.filter(|blob| !reachable.contains(*blob)).collect();
        let allowed = removed && gone.iter().all(|blob| before.ignored.contains(*blob));
        assert!(
            gone.is_empty() || allowed,
            "{ours:?}: {gone:?} of {before:?}"
        );
        if matches!(ours, Ours::Give(WorkspaceReuse::Fresh)) || removed {
            let head = before.head.filter(|head| !reachable.contains(head));
            assert!(head.is_none() || head == after.head, "{ours:?}: {head:?}");
        }
        if removed {
            self.give(WorkspaceReuse::Keep).unwrap();
        }
    }

    fn give(&mut self, reuse: WorkspaceReuse) -> Result<(), String> {
        let request = Request {
            attempt: attempt(self.task, 1),
            reuse,
            ..self.sandbox.request(Some("42"))
        };
        let workspace = prepare(&request).map_err(|err| err.message)?;
        if reuse != WorkspaceReuse::Keep {
            let left = git(&workspace.path, &["diff", "--name-only", "HEAD"]);
            assert_eq!(left, "", "what is committed is there as it was");
        }
        self.workspace = workspace;
        Ok(())
    }

    /// Everything that a ref leads to.
    fn reachable(&self) -> BTreeSet<String> {
        let objects = git(&self.sandbox.repo, &["rev-list", "--objects", "--all"]);
        let ids = objects.lines().filter_map(|line| line.split(' ').next());
        ids.map(str::to_owned).collect()
    }
}

/// The blobs of a checkout.
#[derive(Debug, Default)]
struct Seen {
    /// Names and blobs of files.
    files: BTreeSet<(PathBuf, String)>,
    /// The blobs of files and index.
    all: BTreeSet<String>,
    /// Those that git would add, or has in its index.
    uncommitted: BTreeSet<String>,
    ignored: BTreeSet<String>,
    head: Option<String>,
}

impl Seen {
    fn of(top: &Path) -> Self {
        let mut seen = Self::default();
        let git = Git::at(top);
        let own = rev_parse(&git, "--absolute-git-dir").unwrap();
        seen.head = commit_of(&git, "HEAD").unwrap();
        let tracked: BTreeSet<PathBuf> = match own.join("index").exists() {
            true => names(&git.call(&[&"ls-files", &"-z"]).unwrap()).collect(),
            false => BTreeSet::new(),
        };
        let mut open = vec![top.to_owned()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).unwrap().flatten() {
                let (path, kind) = (entry.path(), entry.file_type().unwrap());
                if entry.file_name() == ".git" {
                    continue;
                }
                if kind.is_dir() {
                    open.push(path);
                    continue;
                }
                let bytes = match kind.is_symlink() {
                    true => fs::read_link(&path)
                        .unwrap()
                        .into_os_string()
                        .into_encoded_bytes(),
                    false => fs::read(&path).unwrap(),
                };
                let hash: [&dyn AsRef<OsStr>; 2] = [&"hash-object", &"--stdin"];
                let blob = String::from_utf8(git.call_with(&hash, &bytes).unwrap()).unwrap();
                let name = path.strip_prefix(top).unwrap().to_owned();
                // Without the index: with it, a file in the place of a
                // directory that is staged does not count as ignored.
                let ignored: [&dyn AsRef<OsStr>; 5] =
                    [&"check-ignore", &"--no-index", &"-q", &"--", &name];
                let is_ignored = || !tracked.contains(&name) && git.asks(&ignored).unwrap_or(false);
                if name.starts_with("nested") || is_ignored() {
                    seen.ignored.insert(blob.clone());
                } else {
                    seen.uncommitted.insert(blob.clone());
                }
                seen.all.insert(blob.clone());
                seen.files.insert((name, blob));
            }
        }
        // A copy: the lock of a killed git does not hinder it.
        if own.join("index").exists() {
            let staged = git.call(&[&"ls-files", &"-s", &"-z"]).unwrap();
            for entry in staged.split(|byte| *byte == 0) {
                let entry = String::from_utf8_lossy(entry);
                let mut fields = entry.split(' ');
                if let (Some(mode), Some(blob)) = (fields.next(), fields.next())
                    && mode != "160000"
                {
                    seen.uncommitted.insert(blob.to_owned());
                    seen.all.insert(blob.to_owned());
                }
            }
        }
        // What is committed is the agent's to lose.
        if seen.head.is_some() {
            let tree = git.call(&[&"ls-tree", &"-r", &"-z", &"HEAD"]).unwrap();
            for entry in tree.split(|byte| *byte == 0) {
                let entry = String::from_utf8_lossy(entry);
                if let Some(blob) = entry.split([' ', '\t']).nth(2) {
                    seen.uncommitted.remove(blob);
                }
            }
        }
        seen
    }
}

/// Takes away what stands where a file of this name is to be.
fn make_room(top: &Path, name: &str) {
    let mut path = top.to_owned();
    for part in Path::new(name).parent().into_iter().flatten() {
        path.push(part);
        if path.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
            fs::remove_file(&path).unwrap();
        }
    }
    fs::create_dir_all(&path).unwrap();
    discard(&top.join(name));
}

fn discard(path: &Path) {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_uncommitted_byte_is_lost(steps in prop::collection::vec(step(), 1..24)) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Theirs(act) => world.theirs(act),
                Step::Ours(ours) => world.ours(ours),
            }
        }
        world.ours(Ours::Give(WorkspaceReuse::Reset));
    }
}
