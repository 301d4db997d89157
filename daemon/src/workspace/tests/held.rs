//! Git where an agent in a sandbox has worked.
//!
//! These directories are not in `/tmp`, where everything in a sandbox may write.

use std::os::unix::fs::symlink;

use super::*;

/// A repository, and a file outside of it that nobody in a sandbox can make.
fn held() -> (Sandbox, PathBuf) {
    let program = std::env::current_exe().unwrap();
    let dir = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
    let sandbox = Sandbox::within(dir);
    sandbox.write("file", "one\n");
    sandbox.commit("first");
    fs::create_dir(&sandbox.state).unwrap();
    let outside = sandbox.root.join("escaped");
    (sandbox, outside)
}

impl Sandbox {
    /// Prepares a workspace for an agent that is in a sandbox.
    fn boxed(&self, request: &Request) -> Workspace {
        let workspace = prepare(request).unwrap();
        let hidden = [self.state.join("worktrees")];
        note_sandbox(&self.state, &self.repo, &workspace, &hidden).unwrap();
        workspace
    }

    /// A program that tells that it was run, inside of `at`, and then does as if it
    /// could write outside.
    fn program(&self, at: &Path, outside: &Path) -> PathBuf {
        let program = at.join("program");
        let text = format!(
            "#!/bin/sh\n(: >'{}/ran')\n(: >'{}') 2>/dev/null\nexec cat\n",
            at.display(),
            outside.display()
        );
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        program
    }

    fn ended(&self, workspace: &Workspace, number: u32) -> Ended {
        Ended {
            attempt: attempt(7, number),
            workspace: workspace.clone(),
            repo: self.repo.clone(),
            state_dir: self.state.clone(),
        }
    }
}

/// A repository inside whose configuration names programs, as a submodule.
fn evil_submodule(path: &Path, program: &Path) {
    let sub = path.join("sub");
    git(path, &["init", "--quiet", "sub"]);
    fs::write(sub.join("f"), "hi\n").unwrap();
    commit(&sub, "inside");
    let head = git(&sub, &["rev-parse", "HEAD"]);
    let program = program.to_str().unwrap();
    let link = format!("160000,{head},sub");
    git(path, &["update-index", "--add", "--cacheinfo", &link]);
    git(&sub, &["config", "filter.x.clean", program]);
    fs::create_dir_all(sub.join(".git/info")).unwrap();
    fs::write(sub.join(".git/info/attributes"), "* filter=x\n").unwrap();
    // Changed without another size, so that git reads it.
    fs::write(sub.join("f"), "ho\n").unwrap();
    let file = File::options().write(true).open(sub.join("f")).unwrap();
    let now = file.metadata().unwrap().modified().unwrap();
    file.set_modified(now + Duration::from_secs(100)).unwrap();
    git(&sub, &["config", "core.fsmonitor", program]);
}

#[test]
fn what_an_agent_in_a_sandbox_has_git_run_is_held() {
    let (sandbox, outside) = held();
    let workspace = sandbox.boxed(&sandbox.request(Some("1")));
    let path = &workspace.path;
    let program = sandbox.program(path, &outside);
    evil_submodule(path, &program);
    let look = |what: &str| {
        assert!(!outside.exists(), "{what} let it out");
        let ran = fs::remove_file(path.join("ran")).is_ok();
        (what.to_owned(), ran)
    };
    let mut ran = Vec::new();
    let done = conclude(&sandbox.ended(&workspace, 1), || true);
    let done = done.unwrap().unwrap();
    assert!(done.recorded.is_some(), "{done:?}");
    assert!(done.left_out.contains("submodule sub"), "{done:?}");
    ran.push(look("the end"));
    let seen = inspect(path);
    assert_eq!((seen.broken, seen.inside), (None, 1));
    ran.push(look("looking"));
    assert_eq!(
        uncommitted(&sandbox.state, &sandbox.repo, &workspace),
        Some(true)
    );
    ran.push(look("asking"));
    // Also for an agent that has no sandbox itself.
    let again = prepare(&sandbox.request(Some("1"))).unwrap();
    assert!(again.found.is_some());
    ran.push(look("handing it out"));
    let reset = Request {
        reuse: WorkspaceReuse::Reset,
        attempt: attempt(7, 2),
        ..sandbox.request(Some("1"))
    };
    prepare(&reset).unwrap();
    look("resetting it");
    assert!(
        ran.iter().all(|(_, ran)| *ran),
        "else this shows nothing: {ran:?}"
    );
}

/// The same comes off where no agent in a sandbox was: that is what keeps it from it.
#[test]
fn where_no_agent_was_in_a_sandbox_git_is_as_ever() {
    let (sandbox, outside) = held();
    let workspace = prepare(&sandbox.request(Some("1"))).unwrap();
    let program = sandbox.program(&workspace.path, &outside);
    evil_submodule(&workspace.path, &program);
    assert_eq!(inspect(&workspace.path).inside, 1);
    assert!(outside.exists());
}

#[test]
fn a_worktree_is_reset_begun_anew_and_removed_while_git_is_held() {
    let (sandbox, outside) = held();
    git(
        &sandbox.repo,
        &["config", "extensions.worktreeConfig", "true"],
    );
    let request = sandbox.request(Some("1"));
    let workspace = sandbox.boxed(&request);
    let path = &workspace.path;
    for (number, reuse) in [(2, WorkspaceReuse::Reset), (3, WorkspaceReuse::Fresh)] {
        // In the worktree's own configuration, which the agent may write.
        let program = sandbox.program(path, &outside);
        let config = sandbox.inside(&workspace).join("config.worktree");
        fs::write(
            config,
            format!(
                "[core]\n\tfsmonitor = {0}\n[filter \"x\"]\n\tclean = {0}\n",
                program.display()
            ),
        )
        .unwrap();
        fs::write(path.join(".gitattributes"), "* filter=x\n").unwrap();
        fs::write(path.join("file"), "changed\n").unwrap();
        fs::write(path.join("new"), "new\n").unwrap();
        let next = Request {
            reuse,
            attempt: attempt(7, number),
            ..request.clone()
        };
        let found = prepare(&next).unwrap();
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "one\n");
        assert!(!path.join("new").exists() && found.branch.is_some());
    }
    assert!(!outside.exists());
    let kept = git(&sandbox.repo, &["for-each-ref", "refs/agentd"]);
    assert_eq!(kept.lines().count(), 2, "{kept}");
    let terms = Terms {
        branch: true,
        ..Terms::default()
    };
    let removed = remove(&sandbox.state, path, terms, |_| None, |_| None).unwrap();
    assert!(removed.branch_went && !path.exists());
    assert!(!Records::of(path).setup().parent().unwrap().exists());
    assert!(!outside.exists());
}

/// A merge, a rebase and the like are ended by git, too.
#[test]
fn what_git_was_in_the_middle_of_is_ended_while_it_is_held() {
    let (sandbox, _) = held();
    let request = sandbox.request(Some("1"));
    let workspace = sandbox.boxed(&request);
    let path = &workspace.path;
    fs::write(path.join("file"), "two\n").unwrap();
    commit(path, "two");
    git(path, &["checkout", "-q", "-b", "side", "HEAD~1"]);
    fs::write(path.join("file"), "three\n").unwrap();
    commit(path, "three");
    for (number, words) in [
        (2, ["cherry-pick", "agent/shell-1"]),
        (3, ["rebase", "agent/shell-1"]),
        (4, ["merge", "agent/shell-1"]),
    ] {
        let name = ["-c", "user.name=a", "-c", "user.email=b"];
        let words: Vec<&dyn AsRef<OsStr>> = name
            .iter()
            .chain(&words)
            .map(|word| word as &dyn AsRef<OsStr>)
            .collect();
        Git::at(path).call(&words).unwrap_err();
        let next = Request {
            reuse: WorkspaceReuse::Reset,
            attempt: attempt(7, number),
            ..request.clone()
        };
        prepare(&next).unwrap();
        let status = git(path, &["status"]);
        assert!(status.contains("nothing to commit"), "{number}: {status}");
        assert!(!status.contains("in progress"), "{number}: {status}");
        git(path, &["checkout", "-q", "side"]);
    }
}

/// An agent that works in place may write the repository's configuration and hooks.
#[test]
fn the_whole_repository_is_held_once_one_worked_in_place() {
    let (sandbox, outside) = held();
    let boxed = Request {
        mode: WorkspaceMode::InPlace,
        ..sandbox.request(Some("1"))
    };
    let first = sandbox.boxed(&boxed);
    let program = sandbox.program(&sandbox.repo, &outside);
    git(
        &sandbox.repo,
        &["config", "core.fsmonitor", program.to_str().unwrap()],
    );
    for hook in [
        "reference-transaction",
        "post-checkout",
        "post-index-change",
    ] {
        let hook = sandbox.repo.join(".git/hooks").join(hook);
        fs::create_dir_all(hook.parent().unwrap()).unwrap();
        fs::copy(&program, &hook).unwrap();
    }
    fs::write(sandbox.repo.join("file"), "two\n").unwrap();
    conclude(&sandbox.ended(&first, 1), || true).unwrap();
    prepare(&boxed).unwrap();
    assert!(!outside.exists(), "in place");
    // Nobody in it is in a sandbox.
    let workspace = prepare(&sandbox.request(Some("2"))).unwrap();
    assert!(!outside.exists(), "making a worktree");
    assert_eq!(status(&workspace), "");
    let outside_ran = fs::remove_file(&outside).is_ok();
    assert!(outside_ran, "else this shows nothing: a plain git runs it");
    conclude(&sandbox.ended(&workspace, 2), || true).unwrap();
    assert_eq!(inspect(&workspace.path).broken, None);
    let terms = Terms {
        branch: true,
        ..Terms::default()
    };
    remove(&sandbox.state, &workspace.path, terms, |_| None, |_| None).unwrap();
    assert!(!outside.exists(), "removing it");
}

#[test]
fn where_git_cannot_be_held_it_is_not_run() {
    let (sandbox, outside) = held();
    let request = sandbox.request(Some("1"));
    let workspace = sandbox.boxed(&request);
    let program = sandbox.program(&workspace.path, &outside);
    evil_submodule(&workspace.path, &program);
    // What is hidden would not be.
    let records = Records::of(&workspace.path);
    records
        .note_sandbox(&[sandbox.repo.join(".git/objects/x")])
        .unwrap();
    let says = "git is not run in";
    assert_failed(prepare(&request), &[says]);
    let ended = conclude(&sandbox.ended(&workspace, 1), || true);
    assert!(ended.unwrap_err().message.contains(says));
    assert!(inspect(&workspace.path).broken.unwrap().contains(says));
    let asked = uncommitted(&sandbox.state, &sandbox.repo, &workspace);
    assert_eq!(asked, None);
    let stays = remove(
        &sandbox.state,
        &workspace.path,
        Terms::default(),
        |_| None,
        |_| None,
    );
    assert!(stays.unwrap_err().to_string().contains(says));
    // A record that cannot be read may say anything.
    let record = records.setup().with_file_name("sandbox");
    fs::remove_file(&record).unwrap();
    fs::create_dir(&record).unwrap();
    assert_failed(prepare(&request), &["not a regular file"]);
    assert!(!outside.exists() && !workspace.path.join("ran").exists());
}

/// Nothing of it is known to be somebody's whose repository nobody knows.
#[test]
fn a_worktree_of_which_the_repository_is_not_known_is_not_looked_at() {
    let (sandbox, _) = held();
    let workspace = sandbox.boxed(&sandbox.request(Some("1")));
    let note = workspace.path.with_file_name(".repo");
    fs::remove_file(note).unwrap();
    let broken = inspect(&workspace.path).broken.unwrap();
    assert!(broken.contains("whose worktree this is"), "{broken}");
}

/// Nothing is written through links that an agent has laid, and no pipe is waited for.
#[test]
fn nothing_is_written_or_read_through_what_an_agent_has_laid() {
    let (sandbox, _) = held();
    let request = sandbox.request(Some("1"));
    let workspace = sandbox.boxed(&request);
    let own = sandbox.inside(&workspace);
    let precious = sandbox.root.join("precious");
    fs::write(&precious, "precious").unwrap();
    let index = format!("agentd-index-{}", std::process::id());
    for name in [
        "agentd.attempt",
        "agentd.setup",
        "agentd.setup.new",
        &index,
        &format!("{index}.paths"),
        &format!("{index}.side"),
        "logs/HEAD",
    ] {
        drop(fs::remove_file(own.join(name)));
        symlink(&precious, own.join(name)).unwrap();
    }
    fs::write(workspace.path.join("new"), "x").unwrap();
    for reuse in [WorkspaceReuse::Keep, WorkspaceReuse::Reset] {
        let again = Request {
            reuse,
            ..request.clone()
        };
        // Git may refuse what it cannot write.
        let handed = prepare(&again);
        assert!(handed.is_ok() || reuse == WorkspaceReuse::Reset);
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    }
    let pipe = nix::sys::stat::Mode::S_IRWXU;
    for name in ["MERGE_HEAD", "index"] {
        let file = own.join(name);
        drop(fs::remove_file(&file));
        nix::unistd::mkfifo(&file, pipe).unwrap();
        // It is kept as it is; that there is an answer is what counts.
        drop(conclude(&sandbox.ended(&workspace, 1), || true));
        fs::remove_file(&file).unwrap();
    }
}

/// Git looks neither into the place of a submodule that has no repository, nor at
/// repositories that it keeps of those that were there once.
#[test]
fn what_is_in_the_place_of_a_submodule_keeps_a_worktree() {
    let (sandbox, _) = held();
    for boxed in [true, false] {
        let issue = if boxed { "1" } else { "2" };
        let request = sandbox.request(Some(issue));
        let workspace = match boxed {
            true => sandbox.boxed(&request),
            false => prepare(&request).unwrap(),
        };
        let path = &workspace.path;
        let link = format!("160000,{},sub", git(path, &["rev-parse", "HEAD"]));
        git(path, &["update-index", "--add", "--cacheinfo", &link]);
        let name = [
            "-c",
            "user.name=a",
            "-c",
            "user.email=b",
            "commit",
            "-qm",
            "x",
        ];
        git(path, &name);
        fs::create_dir(path.join("sub")).unwrap();
        let terms = Terms {
            record: true,
            ..Terms::default()
        };
        let remove = || remove(&sandbox.state, path, terms, |_| None, |_| None);
        fs::write(path.join("sub/work"), "work").unwrap();
        assert_eq!(status(&workspace), "", "git does not see it");
        assert_eq!(inspect(path).inside, 1);
        assert!(remove().is_err());
        let reset = Request {
            reuse: WorkspaceReuse::Reset,
            ..request
        };
        assert_failed(prepare(&reset), &["in the place of submodule sub"]);
        assert!(path.join("sub/work").exists());
        fs::remove_file(path.join("sub/work")).unwrap();
        let once = sandbox.inside(&workspace).join("modules/sub");
        fs::create_dir_all(&once).unwrap();
        assert!(remove().is_err());
        fs::remove_dir_all(once.parent().unwrap()).unwrap();
        assert_eq!(inspect(path).inside, 0);
    }
}

/// Laid in place, it would be followed for the next agent.
#[test]
fn a_link_in_the_place_of_gits_directories_is_not_given() {
    let (sandbox, outside) = held();
    let workspace = sandbox.prepare("1").unwrap();
    fs::create_dir(&outside).unwrap();
    let logs = sandbox.repo.join(".git/logs");
    fs::remove_dir_all(&logs).unwrap();
    symlink(&outside, &logs).unwrap();
    let refused = git_places(&sandbox.repo, &workspace).unwrap_err();
    assert!(refused.message.contains("is a link"), "{refused}");
}
