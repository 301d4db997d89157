//! Everything that is printed, as it is seen in a pipe and on terminals of
//! three widths, with and without colour. One file a command.

mod lines;

use std::fmt::Write as _;

use clap::CommandFactory as _;
use unicode_width::UnicodeWidthStr as _;

use self::lines::{DAEMON, DONE, ELSEWHERE, FOLLOWED, LISTS, SETTINGS, SINGLE, Snapshots};
use super::{Cli, Seen, Stage, canned::Script};

const WIDTHS: [usize; 3] = [60, 100, 200];

/// A command with these arguments, wherever it may be printed.
fn everywhere(stage: &Stage, args: &[&str], text: &mut String) {
    let pipe = Seen::default();
    let mut seen = vec![("a pipe".to_owned(), pipe)];
    for color in [false, true] {
        for width in WIDTHS {
            let what = match color {
                true => format!("{width} columns with colour"),
                false => format!("{width} columns"),
            };
            let width = Some(width);
            seen.push((what, Seen { width, color }));
        }
    }
    writeln!(text, "$ agentctl {}", args.join(" ")).unwrap();
    let all = seen.len();
    let mut before: Vec<(String, String, usize)> = Vec::new();
    for (what, seen) in seen {
        let got = stage.run(args, seen);
        let out = visible(&got.out);
        let err = visible(&got.err);
        let mut shown = out;
        if !err.is_empty() {
            write!(shown, "-- stderr\n{err}").unwrap();
        }
        if !shown.is_empty() && !shown.ends_with('\n') {
            shown.push('\n');
        }
        if got.code != 0 {
            writeln!(shown, "-- exit code {}", got.code).unwrap();
        }
        match before.iter_mut().find(|(_, other, _)| *other == shown) {
            Some((where_too, _, count)) => {
                write!(where_too, ", {what}").unwrap();
                *count += 1;
            }
            None => before.push((what, shown, 1)),
        }
    }
    for (what, shown, count) in before {
        let what = if count == all { "everywhere" } else { &what };
        write!(text, "== {what}\n{shown}").unwrap();
    }
    text.push('\n');
}

/// Escapes that a person can read in a review.
fn visible(text: &str) -> String {
    text.replace('\u{1b}', "␛").replace('\r', "␍")
}

/// All variants of one command.
fn snapshot(name: &str, setting: fn(&mut Script), variants: &[&[&str]]) {
    let mut stage = Stage::new();
    stage.setting = setting;
    let mut text = String::new();
    for args in variants {
        everywhere(&stage, args, &mut text);
    }
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

fn snapshots(of: Snapshots) {
    for (name, variants) in of {
        snapshot(name, |_| {}, variants);
    }
}

#[test]
fn lists() {
    snapshots(LISTS);
}

#[test]
fn single_things() {
    snapshots(SINGLE);
}

#[test]
fn what_follows() {
    // Of the task that was submitted, and of the others by their numbers.
    for (name, variants) in FOLLOWED {
        let failed: fn(&mut Script) = |script| script.tasks.retain(|id, _| *id == 42);
        let usual: fn(&mut Script) = |_| {};
        let setting = if *name == "run" { failed } else { usual };
        snapshot(name, setting, variants);
    }
}

#[test]
fn what_is_done() {
    snapshots(DONE);
}

#[test]
fn the_daemon_itself() {
    snapshots(DAEMON);
}

#[test]
fn what_goes_wrong() {
    for (name, setting, variants) in SETTINGS {
        snapshot(name, *setting, variants);
    }
}

/// Each verb, and the verbs below it.
fn verbs(command: &clap::Command, before: &[String], all: &mut Vec<Vec<String>>) {
    for verb in command.get_subcommands() {
        let path = [before, &[verb.get_name().to_owned()]].concat();
        // One that does something by itself is a verb as well.
        if !verb.has_subcommands() || !verb.is_subcommand_required_set() {
            all.push(path.clone());
        }
        verbs(verb, &path, all);
    }
}

#[test]
fn every_verb_has_a_snapshot() {
    let mut all = Vec::new();
    verbs(&Cli::command(), &[], &mut all);
    assert!(all.len() > 40, "{all:?}");
    let files = [LISTS, SINGLE, FOLLOWED, DONE, DAEMON].concat();
    let shown: Vec<&[&str]> = files
        .iter()
        .flat_map(|(_, lines)| *lines)
        .copied()
        .collect();
    let missing: Vec<&Vec<String>> = all
        .iter()
        .filter(|verb| !ELSEWHERE.contains(&verb.join(" ").as_str()))
        .filter(|verb| !shown.iter().any(|line| line.starts_with(&words(verb))))
        .collect();
    // What an agent reports is sent alike, whatever it is.
    let missing: Vec<_> = missing
        .into_iter()
        .filter(|verb| verb[0] != "report")
        .collect();
    assert!(missing.is_empty(), "no snapshot of {missing:?}");
    for verb in ELSEWHERE {
        assert!(
            all.iter().any(|known| known.join(" ") == *verb),
            "no verb {verb}"
        );
    }
    let kept = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/tests/snapshots");
    let kept = std::fs::read_dir(kept).unwrap().count();
    assert_eq!(kept, files.len() + SETTINGS.len(), "a snapshot of nothing");
}

fn words(verb: &[String]) -> Vec<&str> {
    verb.iter().map(String::as_str).collect()
}

/// Whatever acts on tasks tells of them in the same forms.
#[test]
fn verbs_that_act_on_tasks_have_the_same_flags() {
    let tree = Cli::command();
    for verb in [
        "submit", "rerun", "cancel", "kill", "hold", "release", "wait", "ls",
    ] {
        let verb = tree.find_subcommand(verb).unwrap();
        let find = |id| verb.get_arguments().find(|arg| arg.get_id() == id).unwrap();
        assert_eq!(find("quiet").get_short(), Some('q'), "{verb}");
        let output = find("output");
        assert_eq!(output.get_short(), Some('o'), "{verb}");
        let forms = output.get_possible_values();
        let forms: Vec<&str> = forms.iter().map(|form| form.get_name()).collect();
        assert_eq!(
            forms,
            ["table", "wide", "json", "jsonl", "yaml", "name"],
            "{verb}"
        );
    }
}

/// A form that fits what is printed is understood wherever there is one.
#[test]
fn every_form_is_understood_where_it_fits() {
    let tree = Cli::command();
    for verb in tree.get_subcommands() {
        let mut arguments = verb.get_arguments();
        let Some(output) = arguments.find(|arg| arg.get_id() == "output") else {
            continue;
        };
        let forms = output.get_possible_values();
        for form in ["table", "text", "json", "jsonl"] {
            let known = forms.iter().any(|known| known.matches(form, false));
            assert!(known, "{verb} -o {form}");
        }
    }
}

#[test]
fn no_table_is_wider_than_its_terminal() {
    let stage = Stage::new();
    for args in [
        &["ls"][..],
        &["sessions"],
        &["workspace", "ls"],
        &["schedules"],
        &["quota"],
        &["usage", "--by", "agent"],
        &["agents"],
        &["submit", "go", "-o", "table"],
        &["cancel", "42", "45", "7", "-o", "table"],
    ] {
        for width in (60..=250).step_by(10) {
            let seen = Seen {
                width: Some(width),
                color: false,
            };
            for line in stage.run(args, seen).out.lines() {
                assert!(line.width() <= width, "{args:?} at {width}: {line:?}");
            }
        }
    }
}
