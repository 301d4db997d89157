//! A terminal that a person could sit at: tmux draws it, types into it and
//! tells what is seen there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use crate::{
    daemon::TestDaemon,
    process::exists,
    program::{command, program},
    wait::{wait_for, wait_until},
};

/// A terminal with a shell in it. Dropping it ends both, and whatever the shell
/// has started.
#[derive(Debug)]
pub struct Tmux {
    socket: PathBuf,
    home: PathBuf,
    shell: u32,
}

impl Tmux {
    /// A terminal of this size, whose `agentctl` asks this daemon.
    ///
    /// # Panics
    /// If there is no tmux.
    #[must_use]
    pub fn new(daemon: &TestDaemon, width: u16, height: u16) -> Self {
        let mut terminal = Self {
            socket: daemon.path("tmux"),
            home: daemon.home(),
            shell: 0,
        };
        let agentctl = program("agentctl");
        let programs = agentctl.parent().unwrap_or(Path::new("/")).display();
        let path = std::env::var("PATH").unwrap_or_default();
        let (width, height) = (width.to_string(), height.to_string());
        let mut start = terminal.call(&["-f", "/dev/null", "new-session", "-d"]);
        start
            .args(["-x", &width, "-y", &height, "exec sh"])
            .env("PATH", format!("{programs}:{path}"))
            .env("AGENTD_SOCKET", daemon.socket())
            .env("AGENTCTL_NO_AUTOSTART", "1");
        run(&mut start);
        let shell = terminal.told("#{pane_pid}");
        terminal.shell = shell.parse().expect("a pid is a number");
        wait_until("the shell has a prompt", || {
            !terminal.screen().trim().is_empty()
        });
        terminal
    }

    fn call(&self, args: &[&str]) -> Command {
        let mut call = command(Path::new("tmux"), &self.home);
        call.arg("-u")
            .arg("-S")
            .arg(&self.socket)
            .args(args)
            .env("LC_ALL", "C.UTF-8");
        call
    }

    fn told(&self, what: &str) -> String {
        run(&mut self.call(&["display-message", "-p", what]))
            .trim()
            .to_owned()
    }

    /// Types keys by their names: `Enter`, `C-z`, `/`.
    pub fn press(&self, keys: &[&str]) {
        let mut call = vec!["send-keys"];
        call.extend(keys);
        run(&mut self.call(&call));
    }

    /// Types text.
    pub fn write(&self, text: &str) {
        run(&mut self.call(&["send-keys", "-l", text]));
    }

    /// Has the shell do something.
    pub fn shell(&self, line: &str) {
        self.write(line);
        self.press(&["Enter"]);
    }

    /// Gives the terminal another size.
    pub fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        run(&mut self.call(&["resize-window", "-x", &width, "-y", &height]));
    }

    /// What is on the screen.
    #[must_use]
    pub fn screen(&self) -> String {
        run(&mut self.call(&["capture-pane", "-p"]))
    }

    /// Waits until this is on the screen.
    #[track_caller]
    pub fn sees(&self, text: &str) {
        wait_until(&format!("{text:?} is seen"), || {
            self.screen().contains(text)
        });
    }

    /// Waits until this is not on the screen.
    #[track_caller]
    pub fn sees_no(&self, text: &str) {
        wait_until(&format!("{text:?} is not seen"), || {
            !self.screen().contains(text)
        });
    }

    /// How the terminal is set: what `stty -a` says, whether the screen is the
    /// alternate one, whether the cursor is seen, and whether pasting is told
    /// from typing.
    #[must_use]
    pub fn settings(&self) -> String {
        let tty = self.told("#{pane_tty}");
        let mut stty = command(Path::new("stty"), &self.home);
        let set = run(stty.args(["-a", "-F", &tty]));
        let flags = self.told("alternate #{alternate_on} cursor #{cursor_flag}");
        format!("{set}{flags}")
    }

    /// Whether the alternate screen is shown.
    #[must_use]
    pub fn is_alternate(&self) -> bool {
        self.told("#{alternate_on}") == "1"
    }

    /// Waits for the program that the shell has started.
    #[must_use]
    pub fn child(&self) -> u32 {
        let shell = self.shell;
        wait_for("the shell has started a program", || {
            let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
            children.ok()?.split_whitespace().next()?.parse().ok()
        })
    }
}

impl Drop for Tmux {
    #[expect(clippy::print_stderr, reason = "shown when a test has failed")]
    fn drop(&mut self) {
        if thread::panicking() {
            let seen = self.call(&["capture-pane", "-p"]).output();
            let seen = seen.map(|output| output.stdout).unwrap_or_default();
            eprintln!("the screen:\n{}", String::from_utf8_lossy(&seen));
        }
        self.call(&["kill-server"]).output().ok();
        if self.shell != 0 && !thread::panicking() {
            wait_until("the shell is gone", || !exists(self.shell));
        }
    }
}

/// What it prints.
#[track_caller]
fn run(call: &mut Command) -> String {
    let name = call.get_program().to_string_lossy().into_owned();
    let output = call
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{name} is needed (apt-get install {name}): {error}"));
    assert!(output.status.success(), "{call:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
