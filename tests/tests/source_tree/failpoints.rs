//! Failpoints: each is tortured, and none is in what people run.

use std::{collections::BTreeSet, fs};

use agentd_tests::torture::failpoint_names;

use super::sources;

/// The places of a source text where a test can have the process die.
fn points(text: &str) -> impl Iterator<Item = &str> {
    let marks = ["failpoint!(\"", "crashpoint!(\""];
    marks.into_iter().flat_map(|mark| {
        let behind = text.split(mark).skip(1);
        behind.filter_map(|rest| rest.split('"').next())
    })
}

#[test]
fn every_failpoint_is_tortured_once_and_the_core_has_none() {
    let mut found = Vec::new();
    for (path, text) in sources("daemon/src") {
        let name = path.strip_prefix("daemon/src/").unwrap();
        if name == "failpoint.rs" {
            continue;
        }
        let here: Vec<String> = points(&text).map(str::to_owned).collect();
        let pure = name.starts_with("task/");
        assert!(!pure || here.is_empty(), "{path} is pure: {here:?}");
        found.extend(here);
    }
    found.sort();
    let mut tortured: Vec<_> = failpoint_names().map(str::to_owned).collect();
    tortured.sort();
    assert_eq!(found, tortured);
}

/// What people run has no such places: not one name is in it.
#[test]
fn the_default_program_has_no_failpoints() {
    let program = fs::read(agentd_tests::program("agentd")).unwrap();
    let names: Vec<&str> = failpoint_names().chain(["AGENTD_FAILPOINTS"]).collect();
    // One look at the program: each name is sought around its first mark.
    let names: Vec<_> = names
        .iter()
        .map(|name| (name.find(['.', '_']).unwrap(), name.as_bytes()))
        .collect();
    let inside = |at: usize, (mark, name): &(usize, &[u8])| {
        let from = at.checked_sub(*mark);
        from.is_some_and(|from| program[from..].starts_with(name))
    };
    let found: BTreeSet<_> = memchr::memchr2_iter(b'.', b'_', &program)
        .filter_map(|at| names.iter().find(|name| inside(at, name)))
        .map(|(_, name)| String::from_utf8_lossy(name))
        .collect();
    assert!(found.is_empty(), "agentd knows {found:?}");
}
