//! What structured agents print, as a person reads it: as it comes, its last
//! lines, and what was used at its end.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::Child,
};

use agentd_tests::{Output, TestDaemon, wait_until};
use serde_json::json;

use crate::install;

/// Says what Claude Code says, an older one: its figures are those of the whole
/// session, which it keeps where that does. `$1` is the tests' directory.
const CLAUDE: &str = r#"
for word; do
  case "$word" in
    --version) echo '2.1.0 (Claude Code)'; exit;;
    --session-id=*|--resume=*) id=${word#*=};;
  esac
done
cat >/dev/null
mkdir -p ~/.claude/projects/here
file=~/.claude/projects/here/$id.jsonl
echo run >>"$file"
runs=$(wc -l <"$file")
printf '{"type":"system","subtype":"init","session_id":"%s","model":"opus"}\n' "$id"
text() {
  printf '{"type":"assistant","message":{"content":[{"type":"text","text":"%s"}]}}\n' "$1"
  for quiet in 1 2 3 4 5 6 7 8; do echo '{"type":"stream_event"}'; done
}
text 'first\nsecond'
if [ -p "$1/gate" ]; then read _ <"$1/gate"; fi
text 'third\nfourth\nfifth'
echo 'a warning' >&2
printf '{"type":"result","is_error":false,"result":"well","num_turns":1,"total_cost_usd":0.0%s,"modelUsage":{"opus":{"inputTokens":%s000,"outputTokens":%s0,"costUSD":0.0%s}}}\n' $runs $runs $runs $runs
"#;

fn daemon() -> TestDaemon {
    let mut daemon = TestDaemon::prepared("");
    let program = daemon.path("claude");
    install(&program, CLAUDE);
    let (program, dir) = (daemon.arg("claude"), daemon.arg("."));
    daemon.configure(&format!(
        "[agents.claude]\ntype = 'claude'\ncommand = ['{program}', '{dir}']\nallow_root = true\n"
    ));
    daemon.launch();
    daemon
}

/// The figures of the newest attempt, as `show` has them.
fn used(daemon: &TestDaemon, task: u64) -> String {
    let page = daemon.ctl(&["show", &task.to_string()]).ok();
    let mut lines = page.text().lines();
    let usage = lines.find_map(|line| line.strip_prefix("usage:"));
    format!("# used: {}\n", usage.unwrap().trim())
}

#[test]
fn what_was_used_is_said_last_and_is_the_attempts_own() {
    let daemon = daemon();
    let repo = daemon.repo("app");
    let run = ["run", "-a", "claude", "-C", repo.arg(), "--issue", "7", "x"];
    for task in [1, 2] {
        let said = daemon.ctl(&run).ok();
        let (first, rest) = said.text().split_once('\n').unwrap();
        assert!(first.starts_with("# session "), "{said:?}");
        let used = used(&daemon, task);
        let claim = &daemon.show(task)["attempt"]["claim"];
        assert_eq!(*claim, json!({"done": true, "message": "well"}));
        let page = daemon.ctl(&["show", &task.to_string()]).ok();
        assert!(
            page.text().contains("\nclaim:       done: well\n"),
            "{page:?}"
        );
        // The second goes on with the session of the first.
        assert_eq!(used, "# used: 1000 tokens in, 10 out, 1 turn, $0.01\n");
        let texts = "first\nsecond\nthird\nfourth\nfifth\n# ended\n";
        assert_eq!(rest, format!("{texts}{used}"));
        let again = daemon.ctl(&["logs", &task.to_string()]).ok();
        assert_eq!(again.text(), said.text());
    }
    let second = daemon.show(2);
    assert_eq!(second["attempt"]["session_way"], "seen", "{second:#}");
}

#[test]
fn the_last_lines_are_those_that_a_person_reads() {
    let daemon = daemon();
    let run = daemon.ctl(&["run", "-a", "claude", "x"]).ok();
    let logs = |args: &[&str]| daemon.ctl(&[&["logs", "1"], args].concat()).ok();
    let all: Vec<&str> = run.text().split_inclusive('\n').collect();
    assert_eq!(all.len(), 8, "{run:?}");
    for count in 1..=9 {
        let tail = logs(&["--stdout", "-n", &count.to_string()]);
        let from = all.len().saturating_sub(count);
        assert_eq!(tail.text(), all[from..].concat(), "{count}");
    }
    // What it wrote to standard error is one of them, wherever it came.
    for count in 1..=9 {
        let both = logs(&["-n", &count.to_string()]);
        let errors = both.stderr.lines().count();
        assert_eq!(both.text().lines().count() + errors, count, "{both:?}");
    }
    let errors = logs(&["-n", "1", "--stderr"]);
    assert_eq!((errors.text(), &*errors.stderr), ("", "a warning\n"));
    // Bytes are lines of the transcript.
    let raw = logs(&["--raw", "--stdout", "-n", "2"]);
    assert!(raw.text().contains(r#""type":"result""#), "{raw:?}");
}

#[test]
fn the_last_lines_are_followed_by_what_comes() {
    let daemon = daemon();
    let gate = daemon.gate("gate");
    let task = daemon.submit(&["-a", "claude", "x"]);
    let held = gate.reached();
    wait_until("its words are there", || {
        let logs = daemon.ctl(&["logs", &task.to_string()]).ok();
        logs.text().ends_with("second\n")
    });
    let mut follow: Child = daemon
        .agentctl()
        .command(&["logs", "-f", "-n", "1", &task.to_string()])
        .spawn()
        .unwrap();
    let mut out = BufReader::new(follow.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "second\n");
    gate.open();
    drop(held);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let used = used(&daemon, task);
    assert_eq!(rest, format!("third\nfourth\nfifth\n# ended\n{used}"));
    assert_eq!(Output::wait(follow).code, 0);
}
