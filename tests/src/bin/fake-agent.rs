//! An agent that misbehaves, in the way that its first argument names.
//!
//! It uses nothing of the crate, so that it is small and starts at once.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an agent prints and starts processes"
)]

use std::{
    env,
    fs::{File, OpenOptions},
    io::{self, BufReader, IoSlice, Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use nix::{
    sys::{
        signal::{SigSet, Signal},
        socket::{ControlMessage, MsgFlags, sendmsg},
    },
    unistd::{pause, setsid},
};

fn main() -> io::Result<ExitCode> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["stubborn", pids] => stubborn(pids),
        ["leaf", pids] => leaf(pids),
        ["bare-leaf", pids] => {
            start("leaf", pids, true)?;
            Ok(ExitCode::SUCCESS)
        }
        ["double-fork", pids] => {
            start("bare-leaf", pids, false)?.wait()?;
            until_listed(pids)?;
            Ok(ExitCode::SUCCESS)
        }
        ["hold-output", pids] => {
            start("leaf", pids, false)?;
            until_listed(pids)?;
            println!("the agent has ended, its child has not");
            Ok(ExitCode::SUCCESS)
        }
        ["bytes", count, seed] => bytes(number(count), number(seed)),
        ["line", count] => line(number(count)),
        ["paced", tokens, progress] => paced(tokens, progress),
        ["once", runs, slots, count] => once(runs, Path::new(slots), number(count)),
        ["bomb"] => bomb(),
        ["lend", socket] => lend(socket),
        other => Err(io::Error::other(format!("unknown: {other:?}"))),
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

/// Ignores every polite signal, with a child in a session of its own that
/// does, too.
fn stubborn(pids: &str) -> io::Result<ExitCode> {
    let polite = [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ];
    polite.into_iter().collect::<SigSet>().thread_block()?;
    start("leaf", pids, false)?;
    until_listed(pids)?;
    append(pids, &format!("{}\n", std::process::id()))?;
    println!("up");
    loop {
        pause();
    }
}

/// A process in a session of its own that never ends by itself. What it
/// inherits of signals and files it keeps.
fn leaf(pids: &str) -> io::Result<ExitCode> {
    setsid()?;
    append(pids, &format!("{}\n", std::process::id()))?;
    loop {
        pause();
    }
}

/// Another one of ourselves; `bare`: without the mark in its environment.
fn start(what: &str, pids: &str, bare: bool) -> io::Result<std::process::Child> {
    let mut command = Command::new(env::current_exe()?);
    command.args([what, pids]).stdin(Stdio::null());
    if bare {
        command.env_clear();
    }
    command.spawn()
}

/// As many of itself as it can have; then all of them stay.
fn bomb() -> io::Result<ExitCode> {
    [Signal::SIGTERM]
        .into_iter()
        .collect::<SigSet>()
        .thread_block()?;
    let mut command = Command::new(env::current_exe()?);
    command.arg("bomb").stdin(Stdio::null());
    while command.spawn().is_ok() {}
    loop {
        pause();
    }
}

/// Waits until a process has said that it is there.
fn until_listed(pids: &str) -> io::Result<()> {
    loop {
        if std::fs::read_to_string(pids).is_ok_and(|text| text.ends_with('\n')) {
            return Ok(());
        }
        std::thread::yield_now();
    }
}

/// Bytes of every value, the same for the same seed.
fn bytes(count: u64, seed: u64) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let mut state = seed | 1;
    let mut block = Vec::with_capacity(64 * 1024);
    let mut left = count;
    while left > 0 {
        block.clear();
        while (block.len() as u64) < left.min(64 * 1024) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block.extend_from_slice(&state.to_le_bytes()[..1]);
        }
        out.write_all(&block)?;
        left -= block.len() as u64;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// One line that never ends.
fn line(count: u64) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    io::copy(&mut io::repeat(b'x').take(count), &mut out)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// A numbered line for each byte that it reads, also noted in a file; at the
/// end it exits with 7.
fn paced(tokens: &str, progress: &str) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    for (index, token) in BufReader::new(File::open(tokens)?).bytes().enumerate() {
        token?;
        writeln!(out, "line {index}")?;
        out.flush()?;
        append(progress, &format!("line {index}\n"))?;
    }
    Ok(ExitCode::from(7))
}

/// Notes that it ran, and whether there were more at once than there are
/// slots.
fn once(runs: &str, slots: &Path, count: u64) -> io::Result<ExitCode> {
    let task = env::var("AGENTD_TASK").map_err(io::Error::other)?;
    let mut held = None;
    for slot in 0..count {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(slots.join(slot.to_string()))?;
        if file.try_lock().is_ok() {
            held = Some(file);
            break;
        }
    }
    let room = if held.is_some() { "" } else { " too many" };
    append(runs, &format!("{task}{room}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Connects to a socket and gives the connection away through its standard
/// input.
fn lend(socket: &str) -> io::Result<ExitCode> {
    let connection = UnixStream::connect(socket)?;
    let fds = [connection.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let stdin = io::stdin();
    sendmsg::<()>(
        stdin.as_raw_fd(),
        &[IoSlice::new(&[0])],
        &rights,
        MsgFlags::empty(),
        None,
    )?;
    Ok(ExitCode::SUCCESS)
}

fn append(path: &str, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(text.as_bytes())
}
