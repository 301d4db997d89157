//! An agent that speaks as its runner would, and says what came of it.
//!
//! It is given the daemon's state directory, and takes from there what an agent
//! has no business to know.

#![expect(clippy::print_stdout, reason = "an agent prints")]

use std::{env, error::Error, fs, path::Path, process::ExitCode};

use agentd_proto::v1::{
    self, Exit, Exited, ProcessIdentity, Register, RunnerMessage, runner_client::RunnerClient,
    runner_message::Message,
};
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

type Anything = Box<dyn Error>;

/// The exit code that is the truth.
const TRUTH: u8 = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Anything> {
    let state = env::args().nth(1).ok_or("a state directory is missing")?;
    let marker = env::var("AGENTD_ATTEMPT")?;
    let (attempt, digest) = marker.split_once(':').ok_or("no digest")?;
    let dir = Path::new(&state).join("attempts").join(attempt);
    let launch = fs::read(dir.join("launch"))?;
    let launch: Value = serde_json::from_slice(&launch)?;
    let nonce: Vec<u8> = serde_json::from_value(launch["nonce"].clone())?;
    let channel = Endpoint::from_shared(format!("unix://{}", env::var("AGENTD_SOCKET")?))?
        .connect()
        .await?;
    let (me, runner) = (std::process::id(), std::os::unix::process::parent_id());
    for (what, nonce, pid) in [
        ("the marker's digest", bytes(digest)?, me),
        ("a stolen nonce", nonce.clone(), me),
        ("a stolen nonce and name", nonce, runner),
    ] {
        let said = match register(channel.clone(), &dir, attempt, nonce, pid).await {
            Ok(()) => "taken".to_owned(),
            Err(status) => status.message().to_owned(),
        };
        println!("{what}: {said}");
    }
    Ok(TRUTH.into())
}

/// Registers with the result of an agent that has done all its work.
async fn register(
    channel: Channel,
    dir: &Path,
    attempt: &str,
    nonce: Vec<u8>,
    pid: u32,
) -> Result<(), tonic::Status> {
    let failed = |error: Anything| tonic::Status::unknown(error.to_string());
    let (task, number) = attempt.split_once('.').unwrap_or_default();
    let exited = Exited {
        exit: Some(Exit {
            code: Some(0),
            ..Exit::default()
        }),
        ..Exited::default()
    };
    let register = Register {
        dir: dir.display().to_string(),
        task: task
            .parse()
            .map_err(|error: std::num::ParseIntError| failed(error.into()))?,
        attempt: number
            .parse()
            .map_err(|error: std::num::ParseIntError| failed(error.into()))?,
        nonce,
        runner: Some(identity(pid).map_err(failed)?),
        started: None,
        exited: Some(exited),
    };
    let message = RunnerMessage {
        message: Some(Message::Register(register)),
    };
    let mut client = RunnerClient::new(channel);
    let said = tokio_stream::once(message);
    let mut heard = client.attach(said).await?.into_inner();
    let _: Option<v1::DaemonMessage> = heard.message().await?;
    Ok(())
}

fn identity(pid: u32) -> Result<ProcessIdentity, Anything> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, behind) = stat.rsplit_once(") ").ok_or("a strange stat")?;
    let ticks = behind.split(' ').nth(19).ok_or("a short stat")?;
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(ProcessIdentity {
        pid,
        start_ticks: ticks.parse()?,
        boot_id: boot_id.trim().to_owned(),
    })
}

fn bytes(hex: &str) -> Result<Vec<u8>, Anything> {
    let pairs = (0..hex.len()).step_by(2);
    let bytes = pairs.map(|at| {
        let pair = hex.get(at..at + 2).ok_or("half a byte")?;
        Ok(u8::from_str_radix(pair, 16)?)
    });
    bytes.collect()
}
