//! `agentctl workspace`: what agents left, and how to get it back.

pub(crate) mod list;

use std::path::PathBuf;

use agentd_proto::v1;
use clap::{Args, Subcommand};

use self::list::List;
use super::Tally;
use crate::{
    cli::Context,
    client::Client,
    doctor::shell_word,
    error::{EXIT_OK, Error},
    id::{AttemptRef, TaskSet, resolve, resolve_all},
};

/// See, restore and remove what agents left in their workspaces.
///
/// What is uncommitted in a worktree is recorded under refs/agentd of its
/// repository at the end of each attempt, and before it is given to another.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Workspace {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(visible_alias = "list")]
    Ls(List),
    Diff(Diff),
    Restore(Restore),
    Rm(Remove),
}

/// Show what an attempt changed, committed or not; of one that is under way,
/// what it has changed up to now.
#[derive(Debug, Args)]
struct Diff {
    /// The task, or one attempt of it: 42, 42.2, @last, @last-failed.
    #[arg(value_name = "ID[.ATTEMPT]")]
    id: AttemptRef,

    /// Only the files, and how many lines of them.
    #[arg(long)]
    stat: bool,
}

/// Put the files of a workspace, as an attempt left them, into a new directory.
///
/// The directory becomes a worktree of the repository, without a branch.
/// Nothing that exists is written over.
#[derive(Debug, Args)]
struct Restore {
    /// The task, or one attempt of it: 42, 42.2, @last, @last-failed.
    #[arg(value_name = "ID[.ATTEMPT]")]
    id: AttemptRef,

    /// As the attempt was given them: before its reset or fresh start.
    #[arg(long)]
    before: bool,

    /// Where to [default: restored/ID.ATTEMPT in the daemon's directory].
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// Remove worktrees of which nothing is lost.
///
/// One that is in use, or holds what is nowhere else, stays. Branches and
/// snapshots stay in any case.
#[derive(Debug, Args)]
struct Remove {
    /// The tasks whose worktrees are removed: 42, 40-44, @last, @last-failed.
    #[arg(value_name = "ID", required_unless_present = "all")]
    #[arg(conflicts_with = "all")]
    ids: Vec<TaskSet>,

    /// All that can be; the others are listed with the reason why they stay.
    #[arg(long, conflicts_with = "force")]
    all: bool,

    /// Also those with something that is nowhere else: it is recorded first.
    #[arg(long)]
    force: bool,
}

impl Workspace {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        match self.verb {
            Verb::Ls(args) => args.run(cx).await,
            Verb::Diff(args) => args.run(cx).await,
            Verb::Restore(args) => args.run(cx).await,
            Verb::Rm(args) => args.run(cx).await,
        }
    }
}

impl Diff {
    async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let request = v1::WorkspaceDiffRequest {
            task: resolve(&client, self.id.task).await?,
            attempt: self.id.attempt.unwrap_or(0),
            stat: self.stat,
        };
        let asked = client.workspace_diff(request);
        let mut pieces = cx.out.patiently("comparing", asked).await?;
        let mut any = false;
        while let Some(piece) = cx.out.patiently("comparing", pieces.message()).await? {
            any |= !piece.text.is_empty();
            cx.out.bytes(&piece.text)?;
        }
        if any {
            cx.out.bytes(b"\n")?;
        } else {
            cx.out.note("no changes");
        }
        Ok(EXIT_OK)
    }
}

impl Restore {
    async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let to = match self.to {
            Some(to) => absolute(&to)?,
            None => String::new(),
        };
        let client = cx.client().await?;
        let task = resolve(&client, self.id.task).await?;
        let request = v1::WorkspaceRestoreRequest {
            task,
            attempt: self.id.attempt.unwrap_or(0),
            before: self.before,
            to,
        };
        let asked = client.workspace_restore(request);
        let restored = cx.out.patiently("restoring", asked).await?;
        cx.out.line(&restored.path)?;
        let when = if self.before { "was given" } else { "left" };
        cx.out.note(&format!(
            "what attempt {task}.{} {when} is there, at commit {}",
            restored.attempt, restored.commit
        ));
        // It is there all the same if nobody can say whose it is.
        let repo = client.get(task).await.ok().and_then(|got| got.task);
        if let Some(repo) = repo.map(|task| task.repo).filter(|repo| !repo.is_empty()) {
            cx.out.note(&format!(
                "git -C {} worktree remove {} takes it away again",
                shell_word(&repo),
                shell_word(&restored.path)
            ));
        }
        Ok(EXIT_OK)
    }
}

/// The daemon works in another directory.
fn absolute(path: &std::path::Path) -> Result<String, Error> {
    let shown = path.display().to_string();
    let absolute = std::path::absolute(path)
        .map_err(|error| Error::usage(format!("cannot restore to {shown}")).because(error))?;
    absolute
        .into_os_string()
        .into_string()
        .map_err(|_| Error::usage(format!("the path {shown} is not UTF-8")))
}

impl Remove {
    async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        if self.all {
            return remove_all(cx, &client).await;
        }
        let mut tally = Tally::default();
        for task in resolve_all(&client, &self.ids).await? {
            let request = v1::WorkspaceRemoveRequest {
                task,
                force: self.force,
                ..v1::WorkspaceRemoveRequest::default()
            };
            let result = remove(cx, &client, request).await;
            tally.add(&mut cx.out, result)?;
        }
        Ok(tally.code())
    }
}

async fn remove(
    cx: &mut Context,
    client: &Client,
    request: v1::WorkspaceRemoveRequest,
) -> Result<(), Error> {
    let asked = client.workspace_remove(request);
    let removed = cx.out.patiently("removing", asked).await?;
    cx.out.line(&removed.path)?;
    if !removed.branch.is_empty() {
        let branch = removed.branch;
        cx.out.note(&format!("removed; branch {branch} stays"));
    }
    Ok(())
}

async fn remove_all(cx: &mut Context, client: &Client) -> Result<u8, Error> {
    let mut tally = Tally::default();
    for info in list::fetch(client, &mut cx.out).await? {
        if !info.stays_for.is_empty() {
            let why = info.stays_for.join("; ");
            cx.out.message(&format!("{} stays: {why}", info.path));
            continue;
        }
        let request = v1::WorkspaceRemoveRequest {
            path: info.path,
            ..v1::WorkspaceRemoveRequest::default()
        };
        let result = remove(cx, client, request).await;
        tally.add(&mut cx.out, result)?;
    }
    Ok(tally.code())
}
