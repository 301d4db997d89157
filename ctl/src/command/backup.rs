//! `agentctl backup`.

use std::{
    fs::{self, File},
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use agentd_proto::v1;
use clap::Args;
use tempfile::NamedTempFile;
use tokio::signal::ctrl_c;
use tonic::Streaming;

use crate::{
    cli::Context,
    doctor::shell_word,
    error::{EXIT_INTERRUPTED, EXIT_OK, Error, Kind},
    output::{Output, page::bytes},
};

/// Copy the task store into a file, while agentd runs.
///
/// The copy is of one moment: every task, attempt and event that was
/// acknowledged by then. Transcripts and worktrees are files of their own and
/// not in it.
///
/// To restore it: agentctl shutdown, put the file in the place of agentd.redb in
/// the state directory (agentctl status says where), start agentd again.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Where to put the copy; "-" for standard output.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
}

impl Backup {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let to_stdout = self.file == Path::new("-");
        if to_stdout && io::stdout().is_terminal() {
            return Err(Error::usage("a copy of the store is not for a terminal")
                .hint("name a file, or write it into a pipe"));
        }
        if !to_stdout {
            self.may_be_put_there()?;
        }
        let client = cx.client().await?;
        if to_stdout {
            let pieces = client.backup().await?;
            receive(pieces, cx, "the store", |data, out| out.bytes(data)).await?;
            return Ok(EXIT_OK);
        }
        // Before the daemon is given work that nobody could take.
        let file = beside(&self.file)?;
        let pieces = client.backup().await?;
        let name = self.file.display().to_string();
        let copied = tokio::select! {
            copied = receive(pieces, cx, &name, |data, _| {
                file.as_file()
                    .write_all(data)
                    .map_err(|error| cannot_write(&self.file, error))
            }) => copied?,
            // What was written goes with `file`.
            _ = ctrl_c() => return Ok(EXIT_INTERRUPTED),
        };
        self.put_in_place(file)?;
        cx.out.message(&format!(
            "{}: {}, up to revision {}",
            self.file.display(),
            bytes(copied.size),
            copied.revision
        ));
        Ok(EXIT_OK)
    }

    /// A copy takes the name from what has it. That is never a device, a link or
    /// a pipe: of root, it would be gone for all of the machine.
    fn may_be_put_there(&self) -> Result<(), Error> {
        match fs::symlink_metadata(&self.file) {
            Ok(there) if !there.is_file() => Err(no_file(&self.file)),
            Ok(_) if !self.force => Err(there_already(&self.file)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// On disk before it has the name, and the name before success is told.
    fn put_in_place(&self, file: NamedTempFile) -> Result<(), Error> {
        let failed = |error| cannot_write(&self.file, error);
        file.as_file().sync_all().map_err(failed)?;
        let persisted = if self.force {
            file.persist(&self.file)
        } else {
            file.persist_noclobber(&self.file)
        };
        match persisted {
            Ok(_) => {}
            Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(there_already(&self.file));
            }
            Err(refused) => return Err(failed(refused.error)),
        }
        File::open(directory(&self.file))
            .and_then(|dir| dir.sync_all())
            .map_err(failed)
    }
}

/// A file that only its owner may read, in the directory of another one.
fn beside(path: &Path) -> Result<NamedTempFile, Error> {
    let dir = directory(path);
    if !dir.is_dir() {
        let why = format!("there is no directory {}", dir.display());
        let make = shell_word(&dir.to_string_lossy());
        return Err(
            Error::new(Kind::Other, format!("cannot write {}", path.display()))
                .because(why)
                .hint(format!("mkdir -p {make}, or name another file")),
        );
    }
    let made = tempfile::Builder::new()
        .prefix(".agentd-backup-")
        .tempfile_in(dir);
    // Its own words tell of a name that nobody has given.
    made.map_err(|error| cannot_write(path, error.kind().into()))
}

fn directory(path: &Path) -> &Path {
    let parent = path.parent();
    parent
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn there_already(path: &Path) -> Error {
    Error::new(
        Kind::Conflict,
        format!("{} is there already", path.display()),
    )
    .hint("name another file, or replace it with --force")
}

fn no_file(path: &Path) -> Error {
    Error::new(
        Kind::Conflict,
        format!("{} is there and not a file", path.display()),
    )
    .hint("name another file; - is standard output")
}

fn cannot_write(path: &Path, error: io::Error) -> Error {
    Error::new(Kind::Other, format!("cannot write {}", path.display())).because(error)
}

/// What was received.
#[derive(Debug, Default)]
struct Received {
    size: u64,
    revision: u64,
}

/// Takes all pieces, or none counts.
async fn receive(
    mut pieces: Streaming<v1::BackupResponse>,
    cx: &mut Context,
    name: &str,
    mut take: impl FnMut(&[u8], &mut Output) -> Result<(), Error>,
) -> Result<Received, Error> {
    let mut received = Received::default();
    let mut so_far = 0_u64;
    while let Some(piece) = pieces.message().await? {
        if piece.data.is_empty() {
            tell(&mut cx.out, "copying", name, piece.rows_done, piece.rows);
            continue;
        }
        take(&piece.data, &mut cx.out)?;
        so_far += piece.data.len() as u64;
        tell(&mut cx.out, "receiving", name, so_far, piece.size);
        received = Received {
            size: piece.size,
            revision: piece.revision,
        };
    }
    if so_far == 0 || so_far != received.size {
        return Err(Error::new(
            Kind::Unreachable,
            format!(
                "the copy is not whole: {so_far} of {} bytes came",
                received.size
            ),
        )
        .hint("agentd was stopped meanwhile: try again"));
    }
    Ok(received)
}

/// How far it is, per cent.
fn tell(out: &mut Output, what: &str, name: &str, done: u64, all: u64) {
    if let Some(share) = done.saturating_mul(100).checked_div(all) {
        out.progress(&format!("{what} {name}: {share} %"));
    }
}
