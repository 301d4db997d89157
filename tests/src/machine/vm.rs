//! A whole machine: an emulated one with a kernel of its own, for what
//! namespaces cannot show. It has all controllers of control groups, and limits
//! are enforced. It is slow: each instruction is emulated.
//!
//! Its disk is this machine's, which it sees at the same paths and cannot change.

use std::{
    cell::{Cell, RefCell},
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Once,
    thread,
};

use tempfile::TempDir;

use super::{agentd, needs, places::Place};
use crate::{
    cli::Output,
    program::{command, target},
    wait::{DEADLINE, wait_for, wait_until},
};

/// Memory of the machine, MiB.
const MEMORY: &str = "2048";
/// How much longer all takes than on a machine that is one.
const SLOWER: u32 = 4;

/// A machine that is up. Dropping it ends it.
#[derive(Debug)]
pub struct Vm {
    qemu: Child,
    /// Numbers of requests go, and come with codes.
    line: RefCell<BufReader<UnixStream>>,
    requests: Cell<u32>,
    work: TempDir,
    _place: Place,
}

impl Vm {
    /// A machine that is up, with nothing of agentd on it yet.
    ///
    /// # Panics
    /// If it does not come up, or there is no root to share the disk.
    #[must_use]
    #[track_caller]
    pub fn boot() -> Self {
        needs::check();
        let place = Place::take();
        let tools = tools();
        let work = tempfile::Builder::new().prefix("vm").tempdir();
        let work = work.expect("a directory can be made");
        let requests = work.path().join("requests");
        fs::create_dir(&requests).expect("a directory can be made");
        let scripts = [
            ("serve.sh", include_str!("vm/serve.sh")),
            ("command.sh", include_str!("command.sh")),
        ];
        for (name, text) in scripts {
            fs::write(requests.join(name), text).expect("a file can be written");
        }
        let line = work.path().join("line");
        let mut qemu = qemu(&tools, work.path()).spawn().expect("setpriv is there");
        let line = wait_for("the emulator has started", || {
            let ended = qemu.try_wait().expect("a child can be asked");
            assert!(ended.is_none(), "the emulator ended: {ended:?}");
            UnixStream::connect(&line).ok()
        });
        let patience = line.set_read_timeout(Some(SLOWER * DEADLINE));
        patience.expect("a socket has a limit");
        let vm = Self {
            qemu,
            line: RefCell::new(BufReader::new(line)),
            requests: Cell::new(0),
            work,
            _place: place,
        };
        assert_eq!(vm.answer(), "up");
        vm
    }

    /// Puts the programs under test and all units on the machine; none is
    /// switched on.
    ///
    /// # Panics
    /// If that cannot be done.
    #[track_caller]
    pub fn install(&self) {
        for (from, to) in agentd::files() {
            self.copy_in(&from, &to);
        }
        drop(self.run("root", agentd::INSTALLED).ok());
    }

    /// Copies a file of this machine's to it, with its mode.
    ///
    /// # Panics
    /// If it cannot be read or written.
    #[track_caller]
    pub fn copy_in(&self, from: &Path, to: &str) {
        let meta = fs::metadata(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        let mode = meta.permissions().mode() & 0o7777;
        let from = from.canonicalize().expect("it is there");
        let script = format!("install -D -m {mode:o} '{}' '{to}'", from.display());
        drop(self.run("root", &script).ok());
    }

    /// Makes a file, or replaces one.
    ///
    /// # Panics
    /// If it cannot be written.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str, mode: u32) {
        self.request("text", text);
        let number = self.requests.get();
        let script = format!("install -D -m {mode:o} /srv/requests/{number}.text '{path}'");
        drop(self.run("root", &script).ok());
    }

    /// Runs a script of the shell as a user of the machine, in that user's home.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    #[track_caller]
    pub fn run(&self, user: &str, script: &str) -> Output {
        self.request("user", user);
        self.request("script", script);
        let number = self.requests.get();
        self.requests.set(number + 1);
        let told = writeln!(self.line.borrow_mut().get_mut(), "{number}");
        told.expect("the machine listens");
        let answer = self.answer();
        let code = answer.strip_prefix(&format!("{number} "));
        let code = code.and_then(|code| code.parse().ok());
        let said = |part| fs::read(self.part(number, part)).unwrap_or_default();
        Output {
            code: code.unwrap_or_else(|| panic!("request {number} was answered with {answer:?}")),
            stdout: said("out"),
            stderr: String::from_utf8_lossy(&said("err")).into_owned(),
        }
    }

    /// Waits until a script of a user's succeeds.
    ///
    /// # Panics
    /// If it does not in time.
    #[track_caller]
    pub fn until(&self, what: &str, user: &str, script: &str) {
        wait_until(what, || self.run(user, script).code == 0);
    }

    fn part(&self, number: u32, part: &str) -> PathBuf {
        let name = format!("requests/{number}.{part}");
        self.work.path().join(name)
    }

    /// A part of the next request.
    fn request(&self, part: &str, text: &str) {
        let path = self.part(self.requests.get(), part);
        fs::write(path, text).expect("a file can be written");
    }

    #[track_caller]
    fn answer(&self) -> String {
        let mut answer = String::new();
        let read = self.line.borrow_mut().read_line(&mut answer);
        read.unwrap_or_else(|error| panic!("the machine does not answer: {error}"));
        answer.trim().to_owned()
    }
}

impl Drop for Vm {
    #[expect(clippy::print_stderr, reason = "shown when a test has failed")]
    fn drop(&mut self) {
        self.qemu.kill().ok();
        self.qemu.wait().ok();
        if thread::panicking() {
            let console = fs::read(self.work.path().join("console")).unwrap_or_default();
            eprintln!("its console:\n{}", String::from_utf8_lossy(&console));
        }
    }
}

/// The emulator and what it boots, got at the first call. Kept in cargo's target
/// directory.
fn tools() -> PathBuf {
    static GOT: Once = Once::new();
    let tools = target().join("machine");
    GOT.call_once(|| {
        if tools.join("ready").exists() {
            return;
        }
        let init = concat!(
            "#!/bin/busybox sh\n",
            include_str!("disk.sh"),
            include_str!("vm/init.sh")
        );
        let mut get = command(Path::new("bash"), Path::new("/"));
        get.args(["-c", include_str!("vm/tools.sh"), "tools"])
            .arg(&tools)
            .arg(init);
        let done = get.status().expect("bash can be started");
        assert!(done.success(), "the emulator could not be got: {done}");
    });
    tools
}

fn qemu(tools: &Path, work: &Path) -> Command {
    let root = tools.join("root");
    let at = |path: &str| root.join(path).display().to_string();
    let work = work.display();
    let mut call = command(Path::new("setpriv"), Path::new("/"));
    // It ends with the thread that has started it.
    call.args(["--pdeathsig", "KILL"])
        .arg(at("usr/bin/qemu-system-x86_64"))
        .env(
            "LD_LIBRARY_PATH",
            format!(
                "{}:{}",
                at("usr/lib/x86_64-linux-gnu"),
                at("lib/x86_64-linux-gnu")
            ),
        )
        .args(["-L", &at("usr/share/qemu"), "-L", &at("usr/share/seabios")])
        .args("-machine q35 -accel tcg,thread=multi -cpu max -smp 2".split(' '))
        .args("-nodefaults -no-user-config -display none -no-reboot".split(' '))
        .args(["-m", MEMORY])
        .arg("-kernel")
        .arg(tools.join("kernel"))
        .arg("-initrd")
        .arg(tools.join("initrd"))
        .args([
            "-append",
            "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on \
             tsc=reliable systemd.show_status=0",
        ])
        .args(["-serial", &format!("file:{work}/console")])
        .args([
            "-chardev",
            &format!("socket,id=line,path={work}/line,server=on,wait=on"),
        ])
        .args(["-serial", "chardev:line"])
        .args([
            "-virtfs",
            "local,path=/,mount_tag=disk,security_model=passthrough,readonly=on,multidevs=remap",
        ])
        .args([
            "-virtfs",
            &format!("local,path={work}/requests,mount_tag=requests,security_model=passthrough"),
        ])
        .stdin(Stdio::null());
    call
}
