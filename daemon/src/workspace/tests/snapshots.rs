//! What is uncommitted, recorded without touching anything.

use std::{
    collections::BTreeMap,
    os::unix::{ffi::OsStringExt as _, fs::symlink},
    time::SystemTime,
};

use super::{
    refs::{self, Moment},
    snapshot::{Checkout, Snapshot},
    *,
};
use crate::task::id::AttemptId;

fn record(path: &Path) -> Snapshot {
    record_for(path, &[])
}

/// Records a checkout, and sees that nothing of it has changed.
fn record_for(path: &Path, targets: &[String]) -> Snapshot {
    let dir = tempfile::tempdir().unwrap();
    let lock = lock::take(dir.path(), Duration::ZERO).unwrap();
    let before = untouched(path);
    let checkout = Checkout {
        path,
        lock: &lock,
        held: None,
    };
    let snapshot = checkout.record(targets, "a snapshot").unwrap();
    assert_eq!(untouched(path), before);
    let own = git(path, &["rev-parse", "--absolute-git-dir"]);
    let left = fs::read_dir(own).unwrap().flatten();
    let left = left.filter(|file| file.file_name().as_encoded_bytes().starts_with(b"agentd-"));
    assert_eq!(left.count(), 0, "nothing of its own stays");
    snapshot
}

/// The bytes of the index and of all refs, and the times of all files.
fn untouched(path: &Path) -> (Option<Vec<u8>>, String, BTreeMap<PathBuf, SystemTime>) {
    let own = PathBuf::from(git(path, &["rev-parse", "--absolute-git-dir"]));
    let mut times = BTreeMap::new();
    let mut open = vec![path.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let meta = entry.path().symlink_metadata().unwrap();
            if entry.file_name() == ".git" {
                continue;
            }
            times.insert(entry.path(), meta.modified().unwrap());
            if meta.is_dir() {
                open.push(entry.path());
            }
        }
    }
    let refs = git(path, &["for-each-ref"]) + &git(path, &["symbolic-ref", "-q", "HEAD"]);
    (fs::read(own.join("index")).ok(), refs, times)
}

fn files(dir: &Path, tree: &str) -> String {
    git(dir, &["ls-tree", "-r", "--name-only", "-z", tree]).replace('\0', " ")
}

fn content(dir: &Path, tree: &str, path: &str) -> Vec<u8> {
    let name = format!("{tree}:{path}");
    Git::at(dir).call(&[&"cat-file", &"blob", &name]).unwrap()
}

#[test]
fn nothing_is_recorded_of_a_clean_checkout() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    let snapshot = record(&workspace.path);
    assert_eq!(snapshot.commit, None);
    assert_eq!(
        snapshot.head.unwrap(),
        git(&sandbox.repo, &["rev-parse", "HEAD"])
    );
    assert_eq!(snapshot.left_out, []);
    // Ignored files are nobody's work.
    fs::write(workspace.path.join(".gitignore"), "out\n").unwrap();
    commit(&workspace.path, "ignore");
    fs::write(workspace.path.join("out"), "x").unwrap();
    fs::create_dir(workspace.path.join("empty")).unwrap();
    assert_eq!(record(&workspace.path).commit, None);
}

#[test]
fn changed_staged_and_new_files_are_in_it() {
    let sandbox = Sandbox::new();
    let path = sandbox.prepare("42").unwrap().path;
    fs::write(path.join("gone"), "x").unwrap();
    commit(&path, "second");
    fs::write(path.join("file"), "changed\n").unwrap();
    fs::write(path.join("staged"), "first\n").unwrap();
    git(&path, &["add", "staged"]);
    fs::write(path.join("staged"), "then\n").unwrap();
    fs::write(path.join("new\nline"), "new\n").unwrap();
    let odd = std::ffi::OsString::from_vec(b"odd-\xff-name".to_vec());
    fs::write(path.join(&odd), "odd\n").unwrap();
    fs::create_dir_all(path.join("deep/er")).unwrap();
    symlink("nowhere", path.join("deep/er/link")).unwrap();
    fs::remove_file(path.join("gone")).unwrap();
    let snapshot = record(&path);
    assert_eq!(snapshot.left_out, []);
    let tree = snapshot.tree.clone();
    let list = Git::at(&path)
        .call(&[&"ls-tree", &"-r", &"--name-only", &"-z", &tree])
        .unwrap();
    let list: Vec<&[u8]> = list.split(|byte| *byte == 0).collect();
    let expected: [&[u8]; 6] = [
        b"deep/er/link",
        b"file",
        b"new\nline",
        b"odd-\xff-name",
        b"staged",
        b"",
    ];
    assert_eq!(list, expected);
    assert_eq!(content(&path, &tree, "file"), b"changed");
    assert_eq!(content(&path, &tree, "staged"), b"then");
    assert_eq!(content(&path, &tree, "deep/er/link"), b"nowhere");
    let head = git(&path, &["rev-parse", "HEAD"]);
    assert_eq!(snapshot.parents[0], head);
    // What was staged and written over is in the second parent.
    assert_eq!(content(&path, &snapshot.parents[1], "staged"), b"first");
    let parents = git(
        &path,
        &["rev-parse", &format!("{}^@", snapshot.commit.unwrap())],
    );
    assert_eq!(parents.lines().collect::<Vec<_>>(), snapshot.parents);
}

#[test]
fn the_same_state_is_the_same_tree_and_parents() {
    let sandbox = Sandbox::new();
    let path = sandbox.prepare("42").unwrap().path;
    fs::write(path.join("file"), "one!\n").unwrap();
    git(&path, &["add", "file"]);
    fs::write(path.join("file"), "two!\n").unwrap();
    let (one, two) = (record(&path), record(&path));
    assert_eq!((one.tree, one.parents), (two.tree, two.parents));
}

#[test]
fn a_change_within_the_tick_of_the_index_is_seen() {
    let sandbox = Sandbox::new();
    let path = sandbox.prepare("42").unwrap().path;
    for text in ["aaa\n", "bbb\n", "ccc\n", "ddd\n"] {
        // Of one size, at one time: only the index's own time tells.
        fs::write(path.join("file"), text).unwrap();
        git(&path, &["add", "file"]);
        let later = text.replace(|c: char| c != '\n', "z");
        fs::write(path.join("file"), &later).unwrap();
        let snapshot = record(&path);
        assert_eq!(
            content(&path, &snapshot.tree, "file"),
            later.trim_end().as_bytes()
        );
    }
}

#[test]
fn a_repository_without_a_commit_has_one_too() {
    let sandbox = Sandbox::unborn();
    assert_eq!(record(&sandbox.repo).commit, None);
    sandbox.write("first", "x");
    let snapshot = record(&sandbox.repo);
    assert_eq!((snapshot.head, snapshot.parents), (None, vec![]));
    assert_eq!(files(&sandbox.repo, &snapshot.commit.unwrap()), "first ");
}

#[test]
fn both_sides_of_a_conflict_are_in_it() {
    let sandbox = Sandbox::new();
    let path = sandbox.prepare("42").unwrap().path;
    git(&path, &["switch", "-q", "-c", "theirs"]);
    fs::write(path.join("file"), "theirs\n").unwrap();
    commit(&path, "theirs");
    git(&path, &["switch", "-q", "-"]);
    fs::write(path.join("file"), "ours\n").unwrap();
    commit(&path, "ours");
    fs::write(path.join("more"), "x").unwrap();
    let name: [&dyn AsRef<OsStr>; 4] = [
        &"-c",
        &"user.name=Ann",
        &"-c",
        &"user.email=ann@example.org",
    ];
    let merge: [&dyn AsRef<OsStr>; 4] = [&"merge", &"-q", &"theirs", &"--no-commit"];
    Git::at(&path).call(&[name, merge].concat()).unwrap_err();
    // Half resolved.
    fs::write(path.join("file"), "both\n").unwrap();
    let snapshot = record(&path);
    assert_eq!(snapshot.conflicts, 1);
    assert_eq!(content(&path, &snapshot.tree, "file"), b"both");
    assert_eq!(files(&path, &snapshot.tree), "file more ");
    let theirs = git(&path, &["rev-parse", "theirs"]);
    assert!(snapshot.parents.contains(&theirs), "{snapshot:?}");
    let mut sides: Vec<_> = snapshot
        .parents
        .iter()
        .filter(|parent| files(&path, parent).contains("file "))
        .map(|parent| content(&path, parent, "file"))
        .collect();
    sides.sort();
    sides.dedup();
    assert_eq!(sides, [&b"one"[..], b"ours", b"theirs"]);
}

#[test]
fn files_that_git_is_told_not_to_look_at_are_looked_at() {
    let sandbox = Sandbox::new();
    for name in ["assumed", "skipped", "absent"] {
        sandbox.write(name, "x");
    }
    sandbox.commit("more");
    let path = sandbox.prepare("42").unwrap().path;
    git(&path, &["update-index", "--assume-unchanged", "assumed"]);
    git(
        &path,
        &["update-index", "--skip-worktree", "skipped", "absent"],
    );
    fs::remove_file(path.join("absent")).unwrap();
    for name in ["assumed", "skipped"] {
        fs::write(path.join(name), "mine").unwrap();
    }
    let snapshot = record(&path);
    assert_eq!(content(&path, &snapshot.tree, "assumed"), b"mine");
    assert_eq!(content(&path, &snapshot.tree, "skipped"), b"mine");
    assert_eq!(content(&path, &snapshot.tree, "absent"), b"x", "sparse");
}

#[test]
fn bytes_are_recorded_as_they_are_and_no_program_runs() {
    let sandbox = Sandbox::new();
    sandbox.write(".gitattributes", "* text=auto eol=lf\n*.big filter=trap\n");
    sandbox.commit("attributes");
    let path = sandbox.prepare("42").unwrap().path;
    let ran = sandbox.root.join("ran");
    let touch = format!("touch {}; cat", ran.display());
    for (key, value) in [
        ("filter.trap.clean", touch.as_str()),
        ("filter.trap.required", "true"),
        ("core.autocrlf", "true"),
        ("core.fsmonitor", touch.as_str()),
    ] {
        git(&sandbox.repo, &["config", key, value]);
    }
    for hook in ["post-index-change", "reference-transaction", "pre-commit"] {
        let hook = sandbox.repo.join(".git/hooks").join(hook);
        fs::create_dir_all(hook.parent().unwrap()).unwrap();
        fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(path.join("lines"), "a\r\nb\n").unwrap();
    fs::write(path.join("x.big"), "big\r\n").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let lock = lock::take(dir.path(), Duration::ZERO).unwrap();
    let checkout = Checkout {
        path: &path,
        lock: &lock,
        held: None,
    };
    let snapshot = checkout.record(&[], "x").unwrap();
    assert!(!ran.exists(), "a program of the repository ran");
    assert_eq!(content(&path, &snapshot.tree, "lines"), b"a\r\nb");
    assert_eq!(content(&path, &snapshot.tree, "x.big"), b"big\r");
}

#[test]
fn a_repository_inside_is_named_and_left_alone() {
    let sandbox = Sandbox::new();
    let path = sandbox.prepare("42").unwrap().path;
    for (name, born) in [("born", true), ("deep/unborn", false)] {
        let inside = path.join(name);
        fs::create_dir_all(&inside).unwrap();
        git(&inside, &["init", "-q"]);
        fs::write(inside.join("work"), "x").unwrap();
        if born {
            commit(&inside, "work");
        }
    }
    fs::write(path.join("own"), "x").unwrap();
    let snapshot = record(&path);
    assert_eq!(files(&path, &snapshot.tree), "file own ");
    let named: Vec<_> = snapshot
        .left_out
        .iter()
        .map(|left| (left.what.as_str(), left.at_risk))
        .collect();
    assert_eq!(
        named,
        [
            ("born/, a repository of its own", false),
            ("deep/unborn/, a repository of its own", false)
        ]
    );
}

#[test]
fn a_very_large_file_is_named() {
    let sandbox = Sandbox::new();
    let path = sandbox.prepare("42").unwrap().path;
    fs::write(path.join("small"), "x").unwrap();
    let large = File::create(path.join("large")).unwrap();
    large.set_len(300 << 20).unwrap();
    let snapshot = record(&path);
    assert_eq!(files(&path, &snapshot.tree), "file small ");
    assert_eq!(snapshot.left_out.len(), 1);
    assert_eq!(snapshot.left_out[0].what, "large, for its 300 MiB");
    assert!(snapshot.left_out[0].at_risk);
}

#[test]
fn what_is_in_the_place_of_a_file_is_recorded_though_ignored() {
    let sandbox = Sandbox::new();
    for name in ["config", "way"] {
        sandbox.write(name, "committed\n");
    }
    fs::create_dir(sandbox.repo.join("dir")).unwrap();
    sandbox.write("dir/inner", "committed\n");
    sandbox.commit("more");
    let path = sandbox.prepare("42").unwrap().path;
    // Untracked by the agent, ignored, and filled with something else.
    git(&path, &["rm", "-r", "-q", "config", "way", "dir"]);
    fs::write(path.join(".gitignore"), "config\nway\ndir\n").unwrap();
    commit(&path, "untrack");
    fs::write(path.join("config"), "secret\n").unwrap();
    fs::create_dir(path.join("way")).unwrap();
    fs::write(path.join("way/deep"), "deep\n").unwrap();
    fs::write(path.join("dir"), "flat\n").unwrap();
    assert_eq!(record(&path).commit, None);
    let base = git(&sandbox.repo, &["rev-parse", "main"]);
    let snapshot = record_for(&path, &[base]);
    assert_eq!(snapshot.left_out, []);
    let tree = snapshot.commit.unwrap();
    assert_eq!(content(&path, &tree, "config"), b"secret");
    assert_eq!(content(&path, &tree, "way/deep"), b"deep");
    assert_eq!(content(&path, &tree, "dir"), b"flat");
}

#[test]
fn a_snapshot_is_kept_under_a_name_of_its_own() {
    let sandbox = Sandbox::new();
    let path = sandbox.prepare("42").unwrap().path;
    let attempt = AttemptId {
        task: TaskId::new(7).unwrap(),
        number: 2,
    };
    let common = sandbox.repo.join(".git");
    let repo = Git::at(&sandbox.repo);
    let keep = |text: &str| {
        fs::write(path.join("file"), text).unwrap();
        let commit = record(&path).commit.unwrap();
        refs::keep(&repo, attempt, Moment::End, &commit).map(|name| (name, commit))
    };
    let (first, commit) = keep("1").unwrap();
    assert_eq!(first, "refs/agentd/7/2");
    let same = refs::keep(&repo, attempt, Moment::End, &commit).unwrap();
    assert_eq!(same, first);
    // A git that was killed while it wrote the next one.
    fs::write(common.join("refs/agentd/7/2.2.lock"), "").unwrap();
    let (second, _) = keep("2").unwrap();
    assert_eq!(second, "refs/agentd/7/2.2");
    let before = refs::keep(&repo, attempt, Moment::Before, &commit).unwrap();
    assert_eq!(before, "refs/agentd/7/2-before");
    git(&sandbox.repo, &["gc", "-q", "--prune=now"]);
    assert_eq!(content(&path, &first, "file"), b"1");
    assert_eq!(content(&path, &second, "file"), b"2");
    let kept = refs::list(&repo, attempt.task).unwrap();
    let names: Vec<_> = kept.iter().map(|kept| kept.name.as_str()).collect();
    assert_eq!(names, [first.as_str(), &before, &second]);
    assert_eq!(refs::list(&repo, TaskId::new(8).unwrap()).unwrap(), []);
}
