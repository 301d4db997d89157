//! `agentctl workspace ls`.

use agentd_proto::v1;
use clap::Args;
use serde::Serialize;

use crate::{
    cli::Context,
    client::Client,
    error::{EXIT_OK, Error},
    output::{
        Output,
        json::{Document, WORKSPACE, WORKSPACES},
        list::{ListArgs, Listed},
        table::{Cell, Column, Shown},
        tasks::path,
    },
};

/// List the worktrees there are, and why they stay.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    list: ListArgs<v1::WorkspaceInfo>,
}

/// For a script.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct View {
    workspaces: Vec<WorkspaceView>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct WorkspaceView {
    path: String,
    branch: Option<String>,
    /// Who was given it last.
    task: Option<u64>,
    attempt: Option<u32>,
    repo: Option<String>,
    agent: Option<String>,
    issue: Option<String>,
    /// The active task that works in it, or is to.
    active_task: Option<u64>,
    uncommitted: u32,
    unmerged: u32,
    snapshots: Vec<String>,
    /// Empty: it can be removed.
    stays_for: Vec<String>,
}

impl From<v1::WorkspaceInfo> for WorkspaceView {
    fn from(info: v1::WorkspaceInfo) -> Self {
        let text = |text: String| (!text.is_empty()).then_some(text);
        Self {
            path: info.path,
            branch: text(info.branch),
            task: (info.task != 0).then_some(info.task),
            attempt: (info.attempt != 0).then_some(info.attempt),
            repo: text(info.repo),
            agent: text(info.agent),
            issue: text(info.issue),
            active_task: (info.active_task != 0).then_some(info.active_task),
            uncommitted: info.uncommitted,
            unmerged: info.unmerged,
            snapshots: info.snapshots,
            stays_for: info.stays_for,
        }
    }
}

/// All of them: there are as many as there are keys that were worked on.
///
/// # Errors
/// The daemon's.
pub(super) async fn fetch(
    client: &Client,
    out: &mut Output,
) -> Result<Vec<v1::WorkspaceInfo>, Error> {
    let fetching = async {
        let mut infos = client.workspace_list().await?;
        let mut found = Vec::new();
        while let Some(info) = infos.message().await? {
            found.push(info);
        }
        Ok(found)
    };
    out.patiently("looking at worktrees", fetching).await
}

impl List {
    pub(super) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let found = fetch(&client, &mut cx.out).await?;
        if found.is_empty() && self.list.format()?.is_table() {
            cx.out.note("no worktrees");
        }
        cx.out.list(&self.list, found, |workspaces| {
            Document::new(WORKSPACES, View { workspaces })
        })?;
        Ok(EXIT_OK)
    }
}

impl Listed for v1::WorkspaceInfo {
    type View = WorkspaceView;
    const SCHEMA: &'static str = WORKSPACE;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::<Self>::new("task", |info, _| {
            let attempt = || format!("{}.{}", info.task, info.attempt);
            let known = (info.task != 0).then(attempt);
            Cell::or_dash(&known.unwrap_or_default())
        }),
        Column::<Self>::new("repo", |info, look| {
            Cell::or_dash(path(&info.repo, look.wide))
        })
        .cut(8),
        Column::<Self>::new("agent", |info, _| Cell::or_dash(&info.agent)).shown(Shown::Wide),
        Column::<Self>::new("issue", |info, _| Cell::or_dash(&info.issue)).shown(Shown::Wide),
        Column::<Self>::new("branch", |info, _| Cell::or_dash(&info.branch)).cut(8),
        Column::<Self>::number("snapshots", |info, _| Cell::number(info.snapshots.len())).spare(1),
        Column::<Self>::new("stays-for", |info, _| {
            Cell::from(match info.stays_for.is_empty() {
                true => "nothing: it can be removed".to_owned(),
                false => info.stays_for.join("; "),
            })
        })
        .cut(12),
        Column::<Self>::new("path", |info, _| Cell::from(&info.path)).cut(12),
    ];

    fn name(&self) -> String {
        self.path.clone()
    }
}
