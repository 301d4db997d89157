//! The rules of the source tree: which room may use which, where processes
//! and messages may be named, how long a file may be.
//!
//! It reads text, not the compiler's mind: comments and literals are taken
//! out, `use` trees are unfolded, and what is left is looked at by name.

#![expect(clippy::unwrap_used, reason = "tests")]

mod failpoints;
mod imports;
mod rules;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use imports::{code, paths};
use rules::{LINES, PARTS, PROTO, ROOMS, SLEEPS, WIRING};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Every Rust file below a directory of the tree: its path from the root, and
/// its text.
fn sources(below: &str) -> Vec<(String, String)> {
    let root = root();
    let mut open = vec![root.join(below)];
    let mut found = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                found.push((name.to_owned(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no source in {below}");
    found.sort();
    found
}

/// What a file of the daemon, named from its `src`, does against the rules.
fn faults(name: &str, text: &str) -> Vec<String> {
    let mut faults = BTreeSet::new();
    let code = code(text);
    let first = name.split('/').next().unwrap();
    let room = first.strip_suffix(".rs").unwrap_or(first);
    if code.contains("agentd_proto") && !PROTO.iter().any(|place| name.starts_with(place)) {
        faults.insert(format!("{name} names messages of the interface"));
    }
    if WIRING.contains(&room) {
        return faults.into_iter().collect();
    }
    let Some((_, allowed)) = ROOMS.iter().find(|(known, _)| *known == room) else {
        faults.insert(format!("{name} is in no known room"));
        return faults.into_iter().collect();
    };
    for path in used(name, &code) {
        let used = path[0].as_str();
        let known = ROOMS.iter().any(|(known, _)| *known == used) || WIRING.contains(&used);
        if used == room || !known {
            continue;
        }
        if !allowed.contains(&used) {
            faults.insert(format!("{name} uses {used}"));
        }
        let part = PARTS
            .iter()
            .find(|(who, of, _)| *who == room && *of == used);
        let Some((_, _, items)) = part else { continue };
        let named: Vec<String> = match path.get(1) {
            Some(item) if item != "self" => vec![item.clone()],
            // The room itself: what is named of it below?
            _ => paths(&code, &format!("{used}::"))
                .into_iter()
                .map(|path| path[0].clone())
                .collect(),
        };
        for item in named {
            if !items.contains(&item.as_str()) {
                faults.insert(format!("{name} uses {used}::{item}"));
            }
        }
    }
    faults.into_iter().collect()
}

/// The paths of the crate that a file uses, also by climbing out of its room.
fn used(name: &str, code: &str) -> Vec<Vec<String>> {
    let mut used = paths(code, "crate::");
    used.extend(paths(code, "agentd::"));
    // `a/mod.rs` and `a.rs` are one step below the root, `a/b.rs` two.
    let steps = name.split('/').count() - usize::from(name.ends_with("/mod.rs"));
    for mut path in paths(code, "super::") {
        let supers = 1 + path.iter().take_while(|word| *word == "super").count();
        if supers >= steps {
            path.drain(..supers - 1);
            used.extend((!path.is_empty()).then_some(path));
        }
    }
    used
}

#[test]
fn rooms_use_only_what_they_may() {
    let mut all = Vec::new();
    let mut rooms = BTreeSet::new();
    for (path, text) in sources("daemon/src") {
        let name = path.strip_prefix("daemon/src/").unwrap();
        rooms.insert(name.split(['/', '.']).next().unwrap().to_owned());
        all.extend(faults(name, &text));
    }
    assert_eq!(all, [""; 0]);
    for (room, _) in ROOMS {
        assert!(rooms.contains(*room), "there is no room {room} any more");
    }
}

#[test]
fn the_command_line_uses_the_interface_only() {
    for (path, text) in sources("ctl") {
        let code = code(&text);
        assert!(
            paths(&code, "agentd::").is_empty(),
            "{path} uses the daemon"
        );
    }
    let manifest = fs::read_to_string(root().join("ctl/Cargo.toml")).unwrap();
    let needs_daemon = |line: &str| line.starts_with("agentd.") || line.starts_with("agentd ");
    assert!(
        !manifest.lines().any(needs_daemon),
        "agentctl depends on agentd"
    );
}

#[test]
fn files_are_short_and_tests_do_not_sleep() {
    let mut all = Vec::new();
    for crate_dir in ["daemon", "ctl", "proto", "tests"] {
        for (path, text) in sources(crate_dir) {
            let code = code(&text);
            let lines = text.lines().count();
            if lines > LINES {
                all.push(format!("{path} has {lines} lines"));
            }
            if code.replace(' ', "").contains("#[ignore") {
                all.push(format!("{path} ignores a test"));
            }
            if code.contains("thread::sleep") && !SLEEPS.contains(&path.as_str()) {
                all.push(format!("{path} sleeps"));
            }
        }
    }
    assert_eq!(all, [""; 0]);
}

#[test]
fn every_fuzz_target_is_built_and_has_seeds() {
    let place = root().join("tests/fuzz");
    let names = |dir: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(place.join(dir)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .map(|name| name.trim_end_matches(".rs").to_owned())
            .collect()
    };
    let targets = names("targets");
    assert_eq!(targets, names("seeds"));
    let manifest = fs::read_to_string(place.join("Cargo.toml")).unwrap();
    for target in targets {
        let program = format!("name = \"fuzz-{}\"", target.replace('_', "-"));
        assert!(manifest.contains(&program), "{target} is not built");
    }
}

#[test]
fn the_checker_finds_what_breaks_the_rules() {
    for (name, text, fault) in [
        (
            "task/mod.rs",
            "use crate::store::Store;",
            "task/mod.rs uses store",
        ),
        (
            "task/a/b.rs",
            "fn f() { crate::clock::now(); }",
            "task/a/b.rs uses clock",
        ),
        (
            "spool/mod.rs",
            "use crate::{task::id, transcript::Reader};",
            "spool/mod.rs uses transcript",
        ),
        (
            "store/x.rs",
            "use crate::{\n task::{id::{A, B}, state},\n // no\n config::Config,\n};",
            "store/x.rs uses config",
        ),
        (
            "agents/mod.rs",
            "use super::workspace;",
            "agents/mod.rs uses workspace",
        ),
        (
            "agents/a.rs",
            "use super::super::workspace::prepare;",
            "agents/a.rs uses workspace",
        ),
        (
            "agents/a.rs",
            "use crate::{task, workspace as w};",
            "agents/a.rs uses workspace",
        ),
        (
            "runner/mod.rs",
            "let a = '\"'; use crate::store; let b = '\"';",
            "runner/mod.rs uses store",
        ),
        (
            "dispatcher/mod.rs",
            "use crate::rpc;",
            "dispatcher/mod.rs uses rpc",
        ),
        (
            "dispatcher/mod.rs",
            "use agentd_proto::v1;",
            "dispatcher/mod.rs names messages of the interface",
        ),
        (
            "runner/agent.rs",
            "fn f(x: agentd_proto::v1::Go) {}",
            "runner/agent.rs names messages of the interface",
        ),
        (
            "rpc/a.rs",
            "use crate::supervisor::Supervisor;",
            "rpc/a.rs uses supervisor::Supervisor",
        ),
        (
            "request.rs",
            "use crate::{workspace};\nfn f() { workspace::prepare() }",
            "request.rs uses workspace::prepare",
        ),
        (
            "rpc/a.rs",
            "use crate::store::{Reader, Batch};",
            "rpc/a.rs uses store::Batch",
        ),
        ("kitchen/mod.rs", "", "kitchen/mod.rs is in no known room"),
    ] {
        assert_eq!(faults(name, text), [fault], "{text}");
    }
    for (name, text) in [
        (
            "task/mod.rs",
            "// use crate::store::Store;\n/* crate::rpc */ use crate::task::id;",
        ),
        (
            "task/mod.rs",
            "const A: &str = \"use crate::store;\"; const B: &str = r#\"\"crate::rpc\"#;",
        ),
        (
            "rpc/logs.rs",
            "use super::runner; use super::{store, error};",
        ),
        (
            "rpc/mod.rs",
            "use crate::{supervisor::{Report, ToRunner}, spool::StateDir};",
        ),
        ("runner/wire.rs", "use agentd_proto::v1;"),
        (
            "lifecycle.rs",
            "use crate::{rpc, store, dispatcher}; use agentd_proto::endpoint;",
        ),
        (
            "dispatcher/a.rs",
            "fn f<'a>(x: &'a str) { crate::agents::classify(); }",
        ),
    ] {
        assert_eq!(faults(name, text), [""; 0], "{text}");
    }
}
