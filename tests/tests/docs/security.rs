//! Each promise of `docs/security.md` names tests, and there are such tests.

use std::{fs, path::Path, sync::LazyLock};

use regex::Regex;

/// `[`name`](../path.rs)`
static NAMED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\[`(\w+)`\]\(\.\./([\w/-]+\.rs)\)").unwrap());

/// The rows of the table of promises.
fn promises(page: &str) -> impl Iterator<Item = &str> {
    let table = page.split_once("| promise | tried by |\n|---|---|\n");
    let (_, rows) = table.expect("a table of promises");
    rows.lines().take_while(|line| line.starts_with('|'))
}

/// Whether this source has a test of this name: a function behind the attribute of
/// one, or a property.
fn has_test(source: &str, name: &str) -> bool {
    let begins = format!("fn {name}(");
    let mut lines = source.lines().map(str::trim_start);
    let mut before = Vec::new();
    lines.any(|line| {
        let found = line
            .strip_prefix("async ")
            .unwrap_or(line)
            .starts_with(&begins)
            && before
                .iter()
                .rev()
                .take_while(|line: &&&str| !line.is_empty() && **line != "}")
                .any(|line| ["#[test]", "#[tokio::test]"].contains(line));
        before.push(line);
        found
    })
}

#[test]
fn every_promise_names_tests_that_are_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(top.join("docs/security.md")).unwrap();
    let mut rows = 0;
    for row in promises(&page) {
        rows += 1;
        let mut named = 0;
        for test in NAMED.captures_iter(row) {
            named += 1;
            let (name, file) = (&test[1], &test[2]);
            let source = fs::read_to_string(top.join(file)).unwrap_or_default();
            assert!(has_test(&source, name), "no test {name} in {file}: {row}");
        }
        assert!(named > 0, "nothing tries to break it: {row}");
        // What looks like a name and is none that was looked up.
        assert_eq!(row.matches("](../").count(), named, "{row}");
    }
    assert!(rows > 25, "{rows} promises");
}

#[test]
fn a_test_is_a_function_that_is_run() {
    let source = "#[test]\nfn yes() {}\n\n    #[tokio::test]\n    async fn waits() {}\n\
                  }\n\nfn helper() {\n// #[test]\n}\nfn after() {}\n";
    assert!(has_test(source, "yes") && has_test(source, "waits"));
    for none in ["helper", "after", "ye", "no"] {
        assert!(!has_test(source, none), "{none}");
    }
}
