use std::{fs, path::Path};

use tempfile::TempDir;

use super::*;
use crate::{
    config::Problem,
    task::{
        id::{AttemptId, TaskId},
        notice::Way,
    },
};

/// A daemon's directory with an empty store.
struct Place {
    dir: TempDir,
    state: StateDir,
    store: Store,
    config: Config,
    containment: Containment,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("state")).unwrap();
        let store = Store::open(&state.store(), &state.backups(), 8 << 20).unwrap();
        // The machine that the tests run on may have little room.
        let config = Config {
            min_free_disk: 1,
            ..Config::default()
        };
        Self {
            dir,
            state,
            store,
            config,
            containment: Containment::none(),
        }
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            config: &self.config,
            on_disk: Ok(Vec::new()),
            trouble: None,
            state: &self.state,
            store: &self.store,
            socket: Path::new("/dev/null"),
            containment: &self.containment,
            notices: &[],
            now: Timestamp(1_800_000_000_000),
        }
    }

    fn left(&self) -> Vec<Finding> {
        leftovers::leftovers(&self.subject())
    }
}

fn worse(found: &[Finding]) -> Vec<&Finding> {
    let wrong = |finding: &&Finding| match finding.severity {
        Severity::Good | Severity::Note => false,
        Severity::Warning | Severity::Error => true,
    };
    found.iter().filter(wrong).collect()
}

#[test]
fn nothing_is_wrong_with_a_new_daemon() {
    let place = Place::new();
    let found = diagnose(&place.subject());
    assert!(worse(&found).is_empty(), "{found:#?}");
    for area in [
        Area::Config,
        Area::Store,
        Area::Cgroups,
        Area::Access,
        Area::Leftovers,
        Area::System,
    ] {
        assert!(found.iter().any(|finding| finding.area == area), "{area:?}");
    }
    // What is only to be known is not wrong, and says what would make it better.
    let groups = groups(&place.subject());
    assert_eq!(groups.severity, Severity::Note);
    assert!(groups.fix.contains("Delegate=yes"), "{groups:?}");
}

#[test]
fn what_the_file_says_and_does_not_count_is_told() {
    let place = Place::new();
    let change = |key: &str, needs_restart| Change {
        key: key.to_owned(),
        needs_restart,
    };
    let both = Subject {
        on_disk: Ok(vec![
            change("daemon.max_running", false),
            change("daemon.cache", true),
        ]),
        ..place.subject()
    };
    let found = configuration(&both);
    assert_eq!(worse(&found).len(), 2, "{found:#?}");
    assert_eq!(
        (found[0].why.as_str(), found[0].fix.as_str()),
        ("daemon.max_running", "agentctl reload")
    );
    assert_eq!(found[1].why, "daemon.cache");
    let problem = |line| Problem {
        file: "/c.toml".into(),
        line,
        column: 9,
        message: "agents.x.type is missing".to_owned(),
    };
    let broken = Subject {
        on_disk: Err(ConfigError::Invalid(vec![problem(1), problem(2)])),
        ..place.subject()
    };
    let found = configuration(&broken);
    assert_eq!(found[0].what, "/c.toml:1:9: agents.x.type is missing");
    assert_eq!((found.len(), found[1].severity), (2, Severity::Error));
}

#[test]
fn a_store_in_trouble_says_what_to_do() {
    let place = Place::new();
    for (trouble, fix) in [
        (Trouble::Store("broken".to_owned()), "agentd check-store"),
        (Trouble::Disk { free: 1, needed: 2 }, "agentctl prune"),
    ] {
        let subject = Subject {
            trouble: Some(trouble),
            ..place.subject()
        };
        let found = store(&subject);
        assert_eq!(found[0].severity, Severity::Error);
        assert!(found[0].fix.contains(fix), "{found:#?}");
    }
    let config = Config {
        min_free_disk: u64::MAX,
        ..Config::default()
    };
    let low = Subject {
        config: &config,
        ..place.subject()
    };
    assert_eq!(store(&low)[0].severity, Severity::Warning);
}

#[test]
fn a_copy_that_is_old_is_told() {
    let mut place = Place::new();
    let copy = place.state.backups().join("agentd-2020-01-01.redb");
    fs::write(&copy, "old").unwrap();
    let made = fs::metadata(&copy).unwrap().modified().unwrap();
    let made = jiff::Timestamp::try_from(made).unwrap().as_millisecond();
    let after = |place: &Place, days: i64| {
        let now = Timestamp(made + days * 24 * 60 * 60 * 1000);
        store(&Subject {
            now,
            ..place.subject()
        })
    };
    assert!(worse(&after(&place, 2)).is_empty());
    let found = after(&place, 5);
    assert!(worse(&found)[0].what.contains("5 days old"), "{found:#?}");
    place.config.daily_backups = 0;
    assert!(worse(&after(&place, 5)).is_empty());
}

#[test]
fn attempts_that_the_store_does_not_know_are_kept_and_can_be_set_aside() {
    let place = Place::new();
    assert!(worse(&place.left()).is_empty());
    let id = AttemptId {
        task: TaskId::FIRST,
        number: 1,
    };
    let dir = place.state.attempt(id);
    fs::create_dir(dir.path()).unwrap();
    let found = place.left();
    let aside = found[0].aside.clone().unwrap();
    assert_eq!(aside.from, dir.path());
    assert_eq!(aside.to, place.state.path().join("leftovers/1.1"));
    // One that was set aside before stays where it is.
    fs::create_dir_all(&aside.to).unwrap();
    let again = place.left()[0].aside.clone().unwrap();
    assert_eq!(again.to, place.state.path().join("leftovers/1.1.1"));
    // Nobody touches the files of a runner that lives.
    let lock = dir.lock_for_runner().unwrap();
    let found = place.left();
    assert_eq!(found[0].aside, None);
    assert!(found[0].why.contains("alive"), "{found:#?}");
    drop(lock);
}

#[test]
fn what_is_left_is_told_up_to_a_limit() {
    let place = Place::new();
    for number in 1..=23 {
        let id = AttemptId {
            task: TaskId::FIRST,
            number,
        };
        fs::create_dir(place.state.attempt(id).path()).unwrap();
    }
    let found = place.left();
    assert_eq!(found.len(), TOLD + 1);
    assert_eq!(found[TOLD].what, "and 3 more attempts");
}

#[test]
fn worktrees_are_those_that_their_repository_leads_to() {
    let place = Place::new();
    let git = place.dir.path().join("repo/.git");
    let own = git.join("worktrees/a");
    let worktree = place.state.path().join("worktrees/repo-1/a");
    fs::create_dir_all(&own).unwrap();
    fs::create_dir_all(&worktree).unwrap();
    fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    let link = worktree.join(".git");
    let write = |file: &Path, text: String| fs::write(file, text).unwrap();
    write(&link, format!("gitdir: {}\n", own.display()));
    write(&own.join("gitdir"), format!("{}\n", link.display()));
    assert!(worse(&place.left()).is_empty(), "{:#?}", place.left());
    // Pruned in the repository, which is there and can take it back.
    fs::remove_dir_all(&own).unwrap();
    let found = place.left();
    let repair = format!("git -C {} worktree repair", git.display());
    assert!(worse(&found)[0].fix.starts_with(&repair), "{found:#?}");
    // The repository is gone; nothing is done about what is in the worktree.
    fs::remove_dir_all(&git).unwrap();
    let found = place.left();
    assert!(
        worse(&found)[0].why.contains("moved or removed"),
        "{found:#?}"
    );
    assert_eq!(found[0].aside, None);
}

#[test]
fn halves_of_copies_are_told_when_nobody_writes_them() {
    let place = Place::new();
    let part = place.state.backups().join("daily.part");
    fs::write(&part, "half").unwrap();
    let written = fs::metadata(&part).unwrap().modified().unwrap();
    let written = jiff::Timestamp::try_from(written).unwrap().as_millisecond();
    let left = |minutes: i64| {
        leftovers::leftovers(&Subject {
            now: Timestamp(written + minutes * 60_000),
            ..place.subject()
        })
    };
    assert!(worse(&left(10)).is_empty());
    let found = left(90);
    assert_eq!(worse(&found)[0].fix, format!("rm {}", part.display()));
}

#[test]
fn what_nobody_is_told_is_told_here() {
    let mut place = Place::new();
    let trouble = |why: &str| crate::notify::Trouble {
        task: TaskId::FIRST,
        at: Timestamp(1),
        why: why.to_owned(),
    };
    let standing = |way| Standing {
        way,
        to: "there".to_owned(),
        failing: None,
        given_up: 0,
        last_given_up: None,
    };
    place.config.notify.command = vec!["sh".to_owned()];
    let look = |place: &Place, standing: Standing| {
        let all = [standing];
        let found = notices::notices(&Subject {
            notices: &all,
            ..place.subject()
        });
        let told = found
            .iter()
            .map(|f| format!("{:?} {} {}", f.severity, f.what, f.why));
        told.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        look(&place, standing(Way::Command)),
        "Good people are told of ends by there "
    );
    let failing = Standing {
        failing: Some(trouble("refused")),
        given_up: 2,
        last_given_up: Some(trouble("late")),
        ..standing(Way::Webhook)
    };
    assert_eq!(
        look(&place, failing),
        "Warning word of ends is not taken at there task 1: refused\n\
         Warning 2 ends were told nobody at there last of task 1: late"
    );
    place.config.notify.command = vec!["/nonexistent/tell-me".to_owned()];
    let told = look(&place, standing(Way::Command));
    assert!(
        told.starts_with("Error nobody is told of ends: /nonexistent/tell-me"),
        "{told}"
    );
}
