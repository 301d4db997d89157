//! What git does where an agent in a sandbox has worked, and where the daemon writes.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use agentd_tests::{program, wait_until};

use super::{install, sandbox::Place};

/// A repository inside, as a submodule, whose configuration names a program: it tells
/// that it was run, and tries to get out, also by asking the daemon.
fn evil(place: &Place, outside: &str) -> String {
    let monitor = place.at("monitor");
    let ctl = program("agentctl");
    install(
        Path::new(&monitor),
        &format!(
            "(: >\"$RAN/ran\") 2>/dev/null\n(: >{outside}) 2>/dev/null\n\
             {} --socket {} submit --agent shell -- touch {outside}\nexec cat",
            ctl.display(),
            place.daemon.socket().display()
        ),
    );
    format!(
        "git init -q sub && cd sub && echo hi >f && git add f && git commit -qm s && \
         head=$(git rev-parse HEAD) && \
         printf '#!/bin/sh\\nRAN=%s exec {monitor} \"$@\"\\n' \"$OLDPWD\" >../mon && \
         chmod +x ../mon && mon=$(realpath ../mon) && \
         git config filter.x.clean \"$mon\" && mkdir -p .git/info && \
         echo '* filter=x' >.git/info/attributes && \
         echo ho >f && touch -d '1 hour' f && git config core.fsmonitor \"$mon\" && \
         cd .. && git update-index --add --cacheinfo 160000,$head,sub"
    )
}

/// How many there are.
fn tasks(place: &Place) -> usize {
    let tasks = place.daemon.ctl(&["ls", "--all", "--output", "json"]).ok();
    let tasks: serde_json::Value = serde_json::from_str(tasks.text()).unwrap();
    tasks["tasks"].as_array().map_or(0, Vec::len)
}

#[test]
fn what_an_agent_has_git_run_is_in_its_sandbox() {
    let place = Place::new("");
    let repo = place.repo();
    let outside = place.at("home/escaped");
    let run = ["--agent", "boxed", "--repo", repo.arg(), "--issue", "7"];
    let script = evil(&place, &outside);
    let task = place
        .daemon
        .submit(&[&run[..], &["--", "sh", "-c", &script]].concat());
    let ended = place.daemon.settled(task);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let path = ended["attempt"]["workspace"].as_str().unwrap().to_owned();
    let ran = Path::new(&path).join("ran");
    let mut seen = vec![("the end", fs::remove_file(&ran).is_ok())];
    let listed = place.daemon.ctl(&["workspace", "ls"]).ok();
    assert!(listed.text().contains("repository is inside"), "{listed:?}");
    seen.push(("workspace ls", fs::remove_file(&ran).is_ok()));
    let line = [&run[..], &["--", "true"]].concat();
    let again = place.daemon.submit(&line);
    assert_eq!(place.daemon.settled(again)["state"], "succeeded");
    seen.push(("the next start", fs::remove_file(&ran).is_ok()));
    let differs = place.daemon.ctl(&["workspace", "diff", &task.to_string()]);
    drop(differs.ok());
    let pruned = place.daemon.ctl(&["prune", "--older-than", "0s"]);
    drop(pruned.ok());
    seen.push(("prune", fs::remove_file(&ran).is_ok()));
    drop(place.daemon.ctl(&["workspace", "rm", &path]));
    assert!(!Path::new(&outside).exists(), "it came out: {seen:?}");
    assert_eq!(tasks(&place), 2, "the daemon obeyed it");
    assert!(seen.iter().all(|(_, ran)| *ran), "shows nothing: {seen:?}");
}

/// The same comes off for one without a sandbox: that is what keeps it from it.
#[test]
fn what_another_agent_has_git_run_is_as_ever() {
    let place = Place::new("");
    let repo = place.repo();
    let outside = place.at("home/escaped");
    let script = evil(&place, &outside);
    let line = [
        "--repo",
        repo.arg(),
        "--issue",
        "7",
        "--",
        "sh",
        "-c",
        &script,
    ];
    let task = place.daemon.submit(&line);
    assert_eq!(place.daemon.settled(task)["state"], "succeeded");
    assert!(Path::new(&outside).exists());
    assert!(tasks(&place) > 1, "the daemon takes it for its user");
}

#[test]
fn nothing_is_written_through_links_that_an_agent_has_laid() {
    let place = Place::prepared("");
    let (repo, precious) = (place.repo(), place.at("home/precious"));
    let config = fs::read_to_string(place.daemon.path("config.toml")).unwrap();
    let lay = |names: &str| {
        format!(
            "own=$(git rev-parse --absolute-git-dir); \
             for name in {names}; do ln -sf {precious} $own/$name; done"
        )
    };
    place.daemon.configure(&format!(
        "{config}\n[repos.app]\npath = {:?}\nsetup = [\"sh\", \"-c\", {:?}]\n",
        repo.arg(),
        lay("agentd.setup agentd.setup.new")
    ));
    let Place { mut daemon, dir } = place;
    daemon.launch();
    let place = Place { daemon, dir };
    fs::write(&precious, "precious").unwrap();
    let run = ["--agent", "boxed", "--repo", repo.arg(), "--issue", "7"];
    let lay = lay("agentd.attempt agentd.attempt.new logs/HEAD");
    for (number, script) in [(1, &*lay), (2, "true")] {
        let task = place
            .daemon
            .submit(&[&run[..], &["--", "sh", "-c", script]].concat());
        let ended = place.daemon.settled(task);
        assert_eq!(ended["state"], "succeeded", "{number}: {ended}");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    }
    let listed = place.daemon.ctl(&["workspace", "ls"]).ok();
    assert!(listed.text().contains("2.1"), "{listed:?}");
    let mode = fs::metadata(&precious).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

/// It waited for another of its repository, and may not have it any more.
#[test]
fn a_start_that_was_cancelled_makes_no_workspace() {
    let place = Place::new("");
    let repo = place.repo();
    let run = ["--repo", repo.arg(), "--issue"];
    let submit = |issue| {
        place
            .daemon
            .submit(&[&run[..], &[issue, "--", "true"]].concat())
    };
    let first = submit("1");
    let ended = place.daemon.settled(first);
    let path = ended["attempt"]["workspace"].as_str().unwrap();
    let beside = Path::new(path).parent().unwrap();
    let lock = File::options()
        .write(true)
        .open(beside.join(".lock"))
        .unwrap();
    lock.lock().unwrap();
    let second = submit("2");
    place.daemon.wait_state(second, "starting");
    let _asked = place.daemon.ctl(&["cancel", &second.to_string()]).ok();
    wait_until("it is to stop", || {
        place.daemon.state_of(second) != "starting"
    });
    lock.unlock().unwrap();
    let ended = place.daemon.wait(second);
    assert_eq!(ended["state"], "cancelled", "{ended}");
    let made = fs::read_dir(beside).unwrap().flatten();
    let made = made.filter(|entry| entry.file_name().to_string_lossy().contains("shell-2"));
    assert_eq!(made.count(), 0, "the workspace was made");
}
