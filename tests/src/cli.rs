//! The real `agentctl`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
};

use serde_json::Value;

use crate::{
    process::kill_pid,
    program::{command, program},
    schema,
    wait::DEADLINE,
};

/// Calls of `agentctl` with one socket and a clean environment.
#[derive(Debug, Clone)]
pub struct Ctl {
    socket: PathBuf,
    home: PathBuf,
}

impl Ctl {
    /// Calls that go to this socket.
    #[must_use]
    pub fn new(socket: &Path, home: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            home: home.to_owned(),
        }
    }

    /// A call that is not made yet; nothing is on its standard input.
    #[must_use]
    pub fn command<S: AsRef<str>>(&self, args: &[S]) -> Command {
        let mut command = command(&program("agentctl"), &self.home);
        command
            .args(args.iter().map(AsRef::as_ref))
            .env("AGENTD_SOCKET", &self.socket)
            .env("AGENTCTL_NO_AUTOSTART", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Makes a call and waits for its end.
    ///
    /// # Panics
    /// If the program cannot be started.
    #[must_use]
    pub fn call<S: AsRef<str>>(&self, args: &[S]) -> Output {
        let child = self.command(args).spawn();
        Output::wait(child.expect("agentctl can be started"))
    }

    /// As [`Ctl::call`], with this on standard input.
    ///
    /// # Panics
    /// If the program cannot be started.
    #[must_use]
    pub fn call_with_input<S: AsRef<str>>(&self, args: &[S], input: &[u8]) -> Output {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .spawn()
            .expect("agentctl can be started");
        let mut stdin = child.stdin.take().expect("it was piped");
        // It may refuse without reading to the end.
        stdin.write_all(input).ok();
        drop(stdin);
        Output::wait(child)
    }
}

/// What a call said.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Waits for a call that was spawned.
    ///
    /// # Panics
    /// If it does not come to its end.
    #[track_caller]
    #[must_use]
    pub fn wait(child: Child) -> Self {
        let pid = child.id();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(child.wait_with_output()));
        let Ok(output) = receiver.recv_timeout(2 * DEADLINE) else {
            kill_pid(pid);
            let output = receiver.recv();
            panic!("the call did not end: {output:?}");
        };
        Self::of(output.expect("a child can be waited for"))
    }

    fn of(output: std::process::Output) -> Self {
        Self {
            code: code(output.status),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Standard output as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("the output is text")
    }

    /// The call, which must have succeeded.
    ///
    /// # Panics
    /// If it has not.
    #[track_caller]
    #[must_use]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Checks exit code and messages.
    ///
    /// # Panics
    /// If the code is another one or a fragment is not on standard error.
    #[track_caller]
    pub fn refused(&self, code: i32, fragments: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for fragment in fragments {
            assert!(
                self.stderr.contains(fragment),
                "{fragment:?} is missing: {}",
                self.stderr
            );
        }
        assert!(self.stdout.is_empty(), "{self:?}");
    }

    /// Standard output as one JSON document.
    ///
    /// # Panics
    /// If the call failed, printed something else, or the document does not keep to
    /// the schema that it names.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        let document = serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.text()));
        schema::check(&document);
        document
    }

    /// The one number on standard output.
    ///
    /// # Panics
    /// If the call failed or printed something else.
    #[track_caller]
    #[must_use]
    pub fn id(&self) -> u64 {
        assert_eq!(self.code, 0, "{self:?}");
        self.text().trim().parse().expect("an id is a number")
    }
}

fn code(status: ExitStatus) -> i32 {
    // None: ended by a signal, which no test expects of agentctl.
    status.code().unwrap_or(-1)
}
