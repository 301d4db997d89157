//! The whole screen, in a real terminal.

use std::io::Write as _;

use agentd_tests::{TestDaemon, Tmux, exists, wait_until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const SIZE: (u16, u16) = (100, 30);

fn terminal(daemon: &TestDaemon) -> Tmux {
    let terminal = Tmux::new(daemon, SIZE.0, SIZE.1);
    terminal.shell("echo what was there before");
    terminal.sees("\nwhat was there before");
    terminal
}

/// Starts it and waits until it knows the tasks.
fn open(terminal: &Tmux) {
    terminal.shell("agentctl top");
    terminal.sees("tasks active");
    terminal.sees_no("asking the daemon");
}

/// The terminal is as it was before: settings, screen, cursor.
#[track_caller]
fn given_back(terminal: &Tmux, before: &str) {
    wait_until("the screen of before is back", || !terminal.is_alternate());
    terminal.sees("what was there before");
    // The shell sets what it likes once it has its prompt back.
    wait_until("the terminal is as it was", || {
        terminal.settings() == before
    });
}

#[test]
fn a_person_filters_reads_cancels_and_runs_again() {
    let daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let script = format!(
        "printf '\\033[31mfirst words\\033[0m\\n'; read line <{}; echo \"$line\"; exec sleep 1000",
        gate.path()
    );
    let running = daemon.submit(&["--title", "mend the parser", "--", "sh", "-c", &script]);
    let failed = daemon.submit(&["--title", "paint the button", "--", "sh", "-c", "exit 3"]);
    daemon.wait(failed);
    let _held = daemon.ctl(&["pause"]).ok();
    let queued = daemon.submit(&["--title", "翻訳する later", "--", "true"]);
    let terminal = terminal(&daemon);
    open(&terminal);
    for text in [
        "mend the parser",
        "翻訳する later",
        "waits: paused",
        "PAUSED",
        "disk ",
    ] {
        terminal.sees(text);
    }

    terminal.press(&["/"]);
    terminal.write("parser");
    terminal.sees("filter: parser");
    terminal.sees_no("翻訳する");
    terminal.press(&["Enter"]);
    terminal.sees("⏎ logs");

    terminal.press(&["Enter"]);
    terminal.sees("transcript of task");
    terminal.sees("\nfirst words");
    let mut more = gate.reached();
    writeln!(more, "second words").unwrap();
    drop(more);
    terminal.sees("\nsecond words");
    terminal.resize(60, 15);
    terminal.sees("Esc back  ↑↓ scroll  f follow");
    terminal.resize(30, 6);
    terminal.sees("the terminal is too small");
    terminal.resize(SIZE.0, SIZE.1);
    terminal.sees("\nsecond words");
    terminal.press(&["q"]);
    terminal.sees("tasks active");

    terminal.press(&["c"]);
    terminal.sees(&format!("cancel task {running}?"));
    terminal.press(&["n"]);
    terminal.sees("nothing was done");
    assert_eq!(daemon.state_of(running), "running");
    terminal.press(&["c", "y"]);
    terminal.sees("is being stopped");
    terminal.sees("nothing matches the filter");
    assert_eq!(daemon.wait(running)["state"], "cancelled");
    terminal.press(&["Escape"]);
    terminal.sees_no("is being stopped");
    terminal.press(&["Escape"]);
    terminal.sees("翻訳する later");

    terminal.press(&["h"]);
    terminal.sees("waits: held");
    terminal.sees("(1 held)");
    assert_eq!(daemon.show(queued)["hold"]["kind"], "held");
    terminal.press(&["p"]);
    terminal.sees("agentd resumed");
    terminal.sees_no("PAUSED");

    terminal.press(&["a", "a"]);
    terminal.sees("tasks failed (1)");
    terminal.press(&["r"]);
    terminal.sees(&format!("run task {failed} again?"));
    terminal.press(&["y"]);
    let again = queued + 1;
    terminal.sees(&format!("task {again} runs task {failed} again"));
    assert_eq!(daemon.wait(again)["rerun_of"], failed);
    terminal.sees("tasks failed (2)");
}

#[test]
fn the_terminal_is_given_back() {
    let daemon = TestDaemon::start();
    let terminal = terminal(&daemon);
    let before = terminal.settings();
    for (keys, code) in [
        (&["q"][..], 0),
        (&["Enter", "C-c"], 130),
        (&["?", "C-c"], 130),
    ] {
        open(&terminal);
        assert!(terminal.is_alternate());
        assert_ne!(terminal.settings(), before);
        terminal.press(keys);
        given_back(&terminal, &before);
        terminal.shell("echo code $?");
        terminal.sees(&format!("\ncode {code}"));
        terminal.shell("clear; echo what was there before");
        terminal.sees_no("code");
    }
    for (signal, code) in [
        (Signal::SIGTERM, 143),
        (Signal::SIGHUP, 129),
        (Signal::SIGINT, 130),
        (Signal::SIGQUIT, 131),
    ] {
        open(&terminal);
        let pid = i32::try_from(terminal.child()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
        given_back(&terminal, &before);
        terminal.shell("echo code $?");
        terminal.sees(&format!("\ncode {code}"));
        terminal.shell("clear; echo what was there before");
        terminal.sees_no("code");
    }
}

#[test]
fn it_is_suspended_and_comes_back() {
    let daemon = TestDaemon::start();
    let terminal = terminal(&daemon);
    let before = terminal.settings();
    open(&terminal);
    terminal.press(&["C-z"]);
    given_back(&terminal, &before);
    let task = daemon.submit(&["--title", "made meanwhile", "--", "true"]);
    daemon.wait(task);
    terminal.shell("fg");
    terminal.sees("tasks active");
    assert!(terminal.is_alternate());
    terminal.press(&["a", "C-l"]);
    terminal.sees("made meanwhile");
    terminal.press(&["q"]);
    given_back(&terminal, &before);
    // The terminal goes away under it.
    open(&terminal);
    let pid = terminal.child();
    drop(terminal);
    wait_until("it has ended with its terminal", || !exists(pid));
}

#[test]
fn it_stays_while_the_daemon_comes_and_goes() {
    let mut daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let script = format!("echo before; read _ <{}; echo behind", gate.path());
    let task = daemon.sh(&script);
    let terminal = terminal(&daemon);
    open(&terminal);
    terminal.press(&["Enter"]);
    terminal.sees("\nbefore");
    assert!(daemon.terminate().success());
    terminal.sees("the daemon is away, reconnecting");
    daemon.launch();
    terminal.sees_no("the daemon is away");
    gate.open();
    terminal.sees("\nbehind");
    terminal.sees(&format!("\ntask {task} succeeded"));
    let lines = terminal.screen();
    let count = |text: &str| lines.lines().filter(|line| line.trim() == text).count();
    assert_eq!((count("before"), count("behind")), (1, 1), "{lines}");
    terminal.press(&["q"]);
    daemon.kill();
    terminal.sees("the daemon is away, reconnecting");
    daemon.launch();
    let next = daemon.submit(&["--title", "the next one", "--", "true"]);
    daemon.wait(next);
    terminal.press(&["a"]);
    terminal.sees("the next one");
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let daemon = TestDaemon::start();
    let refused = daemon.ctl(&["top"]);
    refused.refused(2, &["agentctl top needs a terminal", "hint: agentctl ls"]);
}
