//! Lock files of gits that were killed, and of those that were not.

use super::*;

/// Has git run this when the refs are locked that it is about to change.
fn hook(sandbox: &Sandbox, name: &str, script: &str) {
    let hook = sandbox.repo.join(".git/hooks").join(name);
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Has git kill itself when all that it is about to change is locked.
fn kill_when_locked(sandbox: &Sandbox) {
    hook(
        sandbox,
        "reference-transaction",
        "test \"$1\" != prepared || kill -9 0",
    );
}

#[track_caller]
fn killed(dir: &Path, args: &[&str]) {
    let args: Vec<&dyn AsRef<OsStr>> = args.iter().map(|arg| arg as &dyn AsRef<OsStr>).collect();
    let err = Git::at(dir).call(&args).unwrap_err();
    assert!(err.to_string().contains("killed by signal 9"), "{err}");
}

/// Lock files below a directory of git's.
fn locks(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(locks(&path));
        } else if path.extension() == Some(OsStr::new("lock")) {
            found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    found
}

#[test]
fn a_commit_that_was_killed_leaves_locks_that_are_removed() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    fs::write(workspace.path.join("work"), "x").unwrap();
    git(&workspace.path, &["add", "work"]);
    kill_when_locked(&sandbox);
    let me = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"];
    killed(
        &workspace.path,
        &[&me[..], &["commit", "-m", "work"]].concat(),
    );
    let left = locks(&sandbox.repo.join(".git"));
    for name in ["HEAD.lock", "shell-42.lock"] {
        assert!(left.iter().any(|lock| lock == name), "{left:?}");
    }
    fs::remove_file(sandbox.repo.join(".git/hooks/reference-transaction")).unwrap();
    sandbox.prepare("42").unwrap();
    assert_eq!(locks(&sandbox.repo.join(".git")), [""; 0]);
    commit(&workspace.path, "work");
}

#[test]
fn an_add_that_was_killed_leaves_a_lock_that_is_removed() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    sandbox.kill_at("work");
    git(&sandbox.repo, &["config", "filter.trap.clean", "kill -9 0"]);
    fs::write(workspace.path.join("work"), "x").unwrap();
    killed(&workspace.path, &["add", "work"]);
    assert_eq!(locks(&sandbox.repo.join(".git")), ["index.lock"]);
    sandbox.disarm();
    sandbox.prepare("42").unwrap();
    commit(&workspace.path, "work");
}

#[test]
fn one_of_packed_refs_is_removed() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    git(&sandbox.repo, &["branch", "old"]);
    git(&sandbox.repo, &["pack-refs", "--all"]);
    kill_when_locked(&sandbox);
    killed(&sandbox.repo, &["branch", "-D", "old"]);
    let left = locks(&sandbox.repo.join(".git"));
    assert!(
        left.iter().any(|lock| lock == "packed-refs.lock"),
        "{left:?}"
    );
    fs::remove_file(sandbox.repo.join(".git/hooks/reference-transaction")).unwrap();
    sandbox.prepare("42").unwrap();
    git(&workspace.path, &["pack-refs", "--all"]);
}

/// Each stops what agents want to do, and nothing of ours.
#[test]
fn those_of_the_whole_repository_are_removed_unless_they_are_in_use() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    let common = sandbox.repo.join(".git");
    let names = ["config.lock", "packed-refs.lock", "shallow.lock"];
    let left: Vec<_> = names.iter().map(|name| common.join(name)).collect();
    let open: Vec<_> = left
        .iter()
        .map(|lock| File::create(lock).unwrap())
        .collect();
    sandbox.prepare("42").unwrap();
    sandbox.prepare("43").unwrap();
    assert!(left.iter().all(|lock| lock.exists()));
    drop(open);
    sandbox.prepare("42").unwrap();
    assert_eq!(locks(&common), [""; 0]);
    git(&workspace.path, &["config", "some.key", "value"]);
}

/// Git itself looks whether the collector that it names lives.
#[test]
fn a_collector_that_was_killed_holds_up_none() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.prepare("42").unwrap();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    // More than any process has.
    let text = format!("99999999 {host}");
    fs::write(sandbox.repo.join(".git/gc.pid"), text).unwrap();
    sandbox.prepare("42").unwrap();
    git(&workspace.path, &["gc", "--quiet"]);
    assert!(!sandbox.repo.join(".git/gc.pid").exists());
}

#[test]
fn those_of_the_operators_checkout_are_removed_unless_they_are_in_use() {
    let sandbox = Sandbox::new();
    let request = Request {
        mode: WorkspaceMode::InPlace,
        ..sandbox.request(None)
    };
    let lock = sandbox.repo.join(".git/index.lock");
    let open = File::create(&lock).unwrap();
    // The operator may be at work: that is no reason not to begin.
    prepare(&request).unwrap();
    assert!(lock.exists());
    drop(open);
    prepare(&request).unwrap();
    assert!(!lock.exists());
    sandbox.write("work", "x");
    sandbox.commit("work");
}
