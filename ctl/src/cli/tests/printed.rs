//! Everything that is printed, as it is seen in a pipe and on terminals of
//! three widths, with and without colour. One file a command.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

use super::{Seen, Stage};

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
    text.replace('\u{1b}', "␛")
}

/// All variants of one command.
fn snapshot(name: &str, variants: &[&[&str]]) {
    let stage = Stage::new();
    let mut text = String::new();
    for args in variants {
        everywhere(&stage, args, &mut text);
    }
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn lists() {
    snapshot(
        "ls",
        &[
            &["ls"],
            &["ls", "-o", "wide"],
            &["ls", "--columns", "id,labels,workspace,finished"],
            &["ls", "--no-headers", "--limit", "2"],
            &["ls", "--sort", "took", "--limit", "3"],
            &["ls", "--reverse", "-q"],
            &["ls", "-q"],
        ],
    );
    snapshot("sessions", &[&["sessions"], &["sessions", "-o", "wide"]]);
    snapshot("sessions-show", &[&["sessions", "show", "0199"]]);
    snapshot(
        "workspace-ls",
        &[&["workspace", "ls"], &["workspace", "ls", "-q"]],
    );
    snapshot("schedules", &[&["schedules"]]);
    snapshot("quota", &[&["quota"], &["quota", "-o", "wide"]]);
    snapshot(
        "usage",
        &[
            &["usage"],
            &["usage", "--by", "agent"],
            &["usage", "--by", "lineage", "-o", "wide"],
            &["usage", "--by", "day", "-q"],
        ],
    );
    snapshot("agents", &[&["agents"], &["agents", "-o", "wide"]]);
}

#[test]
fn single_things() {
    snapshot(
        "show",
        &[&["show", "42"], &["show", "42.1"], &["show", "48"]],
    );
    snapshot("show-yaml", &[&["show", "42", "-o", "yaml"]]);
    snapshot("alone", &[&[]]);
    snapshot("explain", &[&["explain", "42"]]);
    snapshot("status", &[&["status"]]);
    snapshot("doctor", &[&["doctor"], &["doctor", "-o", "yaml"]]);
    snapshot(
        "service-status",
        &[&["service", "status"], &["service", "status", "-o", "yaml"]],
    );
    snapshot("prune", &[&["prune"], &["prune", "--dry-run"]]);
    snapshot("version", &[&["version"], &["version", "-o", "yaml"]]);
}

#[test]
fn what_follows() {
    snapshot(
        "logs",
        &[
            &["logs", "42"],
            &["logs", "42", "--timestamps"],
            &["logs", "42", "--raw"],
            &["logs", "42", "--since", "10m"],
            &["logs", "42", "--since", "1m"],
        ],
    );
    snapshot(
        "watch",
        &[&["watch", "42"], &["watch", "42", "-o", "jsonl"]],
    );
    snapshot(
        "wait",
        &[&["wait", "41", "42"], &["wait", "41", "42", "-o", "table"]],
    );
}

#[test]
fn what_is_done() {
    snapshot("submit", &[&["submit", "go"], &["submit", "go", "-q"]]);
    snapshot("rerun", &[&["rerun", "42"], &["rerun", "42", "-q"]]);
    snapshot(
        "rerun-bulk",
        &[
            &["rerun", "--unsuccessful", "--dry-run"],
            &["rerun", "--unsuccessful", "--dry-run", "-o", "table"],
        ],
    );
    snapshot("cancel", &[&["cancel", "42", "45", "7"]]);
    snapshot("kill", &[&["kill", "45"]]);
    snapshot("hold", &[&["hold", "49"]]);
    snapshot("release", &[&["release", "49"]]);
    snapshot("pause", &[&["pause"], &["pause", "claude"]]);
    snapshot("resume", &[&["resume", "claude"]]);
    snapshot("quota-clear", &[&["quota", "clear", "team-a"]]);
    snapshot("sessions-forget", &[&["sessions", "forget", "0199"]]);
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
