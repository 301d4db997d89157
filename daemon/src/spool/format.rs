//! The formats of the spool's files: JSON behind a version, apart from the
//! types that the program works with.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Sandbox, Scope, Setup};
use crate::task::{
    attempt::{ProcessIdentity, RunResult},
    id::{AttemptId, Nonce},
    limits::RESULT_GRACE,
    signs::Rules,
    usage::Usage,
};

/// The version that this program writes and the newest that it reads.
const VERSION: u32 = 1;
/// Largest file, bytes: more than a command line and an environment can need if
/// every byte of them is escaped.
const MAX_FILE: u64 = 32 * 1024 * 1024;

/// A file of the spool that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It cannot be read.
    #[error("cannot read it")]
    Io(#[from] io::Error),
    /// It is torn or was never such a file.
    #[error("damaged or foreign file")]
    Malformed(#[from] serde_json::Error),
    /// A newer program wrote it.
    #[error("format version {found} is newer than {VERSION}")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// It was written for another runner.
    #[error("belongs to another runner")]
    Nonce,
    /// It does not say what to run.
    #[error("names no program")]
    Program,
}

/// What the agent reads from its standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdin {
    /// The prompt file, then the end.
    Prompt,
    /// The end at once.
    Empty,
}

/// How the runner reads what the agent prints.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reads {
    /// Not at all: it goes to the transcript only.
    #[default]
    Nothing,
    /// By the rules that the operator wrote for it.
    Lines(Rules),
    /// As Claude Code's stream of events.
    Claude {
        /// What the session had used before.
        before: Usage,
        /// The session that it is to resume.
        resumed: Option<String>,
    },
    /// As the events of Codex.
    Codex {
        /// What the thread had used before.
        before: Usage,
        /// The thread that it is to resume.
        resumed: Option<String>,
    },
    /// As Gemini CLI's stream of events.
    Gemini {
        /// The session that it is to resume.
        resumed: Option<String>,
    },
    /// As the events of opencode.
    Opencode {
        /// The session that it is to resume.
        resumed: Option<String>,
    },
}

impl Reads {
    /// The same for a run that resumes nothing.
    #[must_use]
    pub fn afresh(&self) -> Self {
        let (before, resumed) = (Usage::default(), None);
        match self {
            Self::Nothing | Self::Lines(_) => self.clone(),
            Self::Claude { .. } => Self::Claude { before, resumed },
            Self::Codex { .. } => Self::Codex { before, resumed },
            Self::Gemini { .. } => Self::Gemini { resumed },
            Self::Opencode { .. } => Self::Opencode { resumed },
        }
    }
}

/// What is run instead, in the same attempt, if the agent does not know the
/// session that it was to resume. Holds its environment: never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// The session that it was to resume.
    pub session: String,
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// The whole environment of the agent.
    pub env: BTreeMap<String, String>,
}

/// What a runner needs to know. Holds the agent's environment: never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its secret.
    pub nonce: Nonce,
    /// The daemon's socket when the attempt was launched.
    pub socket: PathBuf,
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// The whole environment of the agent.
    pub env: BTreeMap<String, String>,
    /// Where it works.
    pub cwd: PathBuf,
    /// Its standard input.
    pub stdin: Stdin,
    /// The polite signal: its number.
    pub polite_signal: i32,
    /// Milliseconds without Go after which the runner gives up.
    pub start_timeout: u64,
    /// Milliseconds that children have which outlive a finished agent.
    pub kill_grace: u64,
    /// Milliseconds that the agent may live on after its last word.
    #[serde(default = "result_grace")]
    pub result_grace: u64,
    /// Milliseconds between heartbeats.
    pub heartbeat: u64,
    /// Milliseconds that the agent may do nothing, which the daemon decides
    /// about: heartbeats are timed so that it learns of it at once.
    #[serde(default)]
    pub idle_timeout: Option<u64>,
    /// The same while it waits for a tool.
    #[serde(default)]
    pub tool_idle_timeout: Option<u64>,
    /// Bytes of transcript that are kept.
    pub transcript_limit: u64,
    /// What is read from its output.
    #[serde(default)]
    pub reads: Reads,
    /// For an agent that is to resume a session and may not know it. Its prompt
    /// is in a file of its own.
    #[serde(default)]
    pub fallback: Option<Fallback>,
    /// What is to be run before the agent.
    #[serde(default)]
    pub setup: Option<Setup>,
    /// What the agent, and what is run before it, may touch; none: whatever its
    /// user may.
    #[serde(default)]
    pub sandbox: Option<Sandbox>,
    /// Lines for the head of the transcript.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Files that the agent may have open unless it asks for more; the
    /// daemon's own limit is higher. None: as it is.
    #[serde(default)]
    pub open_files: Option<u64>,
    /// The control group that is to be made for the agent's tree; none if the
    /// daemon may make none.
    #[serde(default)]
    pub cgroup: Option<PathBuf>,
    /// The scope that is to be made for both of them, with a control group for
    /// the agent's tree that takes the place of the one above; none if the
    /// service manager makes none.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// Its limits: memory in bytes, processes, thousandths of a CPU.
    #[serde(default)]
    pub memory: Option<u64>,
    /// See [`Launch::memory`].
    #[serde(default)]
    pub pids: Option<u32>,
    /// See [`Launch::memory`].
    #[serde(default)]
    pub cpu: Option<u32>,
}

/// What files of before did not say.
fn result_grace() -> u64 {
    RESULT_GRACE
}

impl std::fmt::Debug for Launch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Launch")
            .field("attempt", &self.attempt)
            .field("program", &self.argv.first())
            .field("cwd", &self.cwd)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ResultFile {
    pub(super) nonce: Nonce,
    pub(super) result: RunResult,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    body: T,
}

#[derive(Deserialize)]
struct OnlyVersion {
    version: u32,
}

fn encode<T: Serialize>(body: T) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Versioned {
        version: VERSION,
        body,
    })
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FormatError> {
    let OnlyVersion { version } = serde_json::from_slice(bytes)?;
    if version > VERSION {
        return Err(FormatError::Version { found: version });
    }
    let file: Versioned<T> = serde_json::from_slice(bytes)?;
    Ok(file.body)
}

/// Fails for a path that is not UTF-8: JSON cannot hold it.
pub(super) fn encode_launch(launch: &Launch) -> serde_json::Result<Vec<u8>> {
    encode(launch)
}

pub(super) fn decode_launch(bytes: &[u8]) -> Result<Launch, FormatError> {
    let launch: Launch = decode(bytes)?;
    let setup = launch.setup.as_ref().map(|setup| &setup.argv);
    let names_none = |argv: &Vec<String>| argv.first().is_none_or(String::is_empty);
    if names_none(&launch.argv) || setup.is_some_and(names_none) {
        return Err(FormatError::Program);
    }
    Ok(launch)
}

/// Reads a whole file, unless a foreign one is in its place that would not fit
/// into memory.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

pub(super) fn encode_identity(runner: &ProcessIdentity) -> Vec<u8> {
    encode(runner).expect("numbers and a string, which JSON can hold")
}

pub(super) fn decode_identity(bytes: &[u8]) -> Result<ProcessIdentity, FormatError> {
    decode(bytes)
}

pub(super) fn encode_result(nonce: Nonce, result: &RunResult) -> Vec<u8> {
    encode(ResultFile {
        nonce,
        result: result.clone(),
    })
    .expect("numbers and strings, which JSON can hold")
}

pub(super) fn decode_result(bytes: &[u8], nonce: Nonce) -> Result<RunResult, FormatError> {
    let file: ResultFile = decode(bytes)?;
    if file.nonce != nonce {
        return Err(FormatError::Nonce);
    }
    Ok(file.result)
}
