//! `agentctl workspace ls`.

use agentd_proto::v1;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::{
    cli::Context,
    client::Client,
    error::{EXIT_OK, Error},
    output::{
        json::{Document, WORKSPACES},
        table::{Cell, Column, Layout, render},
    },
};

/// List the worktrees there are, and why they stay.
#[derive(Debug, Args)]
pub(super) struct List {
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,

    /// Without the line of heads.
    #[arg(long)]
    no_headers: bool,
}

/// How to print worktrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For a person.
    #[default]
    Table,
    /// One object.
    Json,
    /// Paths only.
    Name,
}

/// For a script.
#[derive(Debug, Serialize)]
struct View {
    workspaces: Vec<WorkspaceView>,
}

#[derive(Debug, Serialize)]
struct WorkspaceView {
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
pub(super) async fn fetch(client: &Client) -> Result<Vec<v1::WorkspaceInfo>, Error> {
    let mut infos = client.workspace_list().await?;
    let mut found = Vec::new();
    while let Some(info) = infos.message().await? {
        found.push(info);
    }
    Ok(found)
}

impl List {
    pub(super) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let found = fetch(&client).await?;
        match self.output {
            Format::Json => {
                let workspaces = found.into_iter().map(WorkspaceView::from).collect();
                let view = View { workspaces };
                cx.out.json(&Document::new(WORKSPACES, view))?;
            }
            Format::Name => {
                for info in found {
                    cx.out.line(&info.path)?;
                }
            }
            Format::Table if found.is_empty() => cx.out.note("no worktrees"),
            Format::Table => {
                let layout = Layout {
                    width: cx.out.width,
                    color: cx.out.color,
                    no_headers: self.no_headers,
                };
                for line in lines(&found, layout) {
                    cx.out.line(&line)?;
                }
            }
        }
        Ok(EXIT_OK)
    }
}

fn lines(found: &[v1::WorkspaceInfo], layout: Layout) -> Vec<String> {
    let columns = [
        Column::fixed("TASK"),
        Column::flexible("REPO", 8),
        Column::flexible("BRANCH", 8),
        Column::fixed("SNAPSHOTS"),
        Column::flexible("STAYS FOR", 12),
        Column::flexible("PATH", 12),
    ];
    let rows: Vec<Vec<Cell>> = found
        .iter()
        .map(|info| {
            let task = match info.task {
                0 => String::new(),
                task => format!("{task}.{}", info.attempt),
            };
            let repo = std::path::Path::new(&info.repo).file_name();
            let repo = repo.map(|name| name.to_string_lossy().into_owned());
            let why = match info.stays_for.is_empty() {
                true => "nothing: it can be removed".to_owned(),
                false => info.stays_for.join("; "),
            };
            vec![
                Cell::or_dash(&task),
                Cell::or_dash(&repo.unwrap_or_default()),
                Cell::or_dash(&info.branch),
                Cell::from(info.snapshots.len().to_string()),
                Cell::from(why),
                Cell::from(info.path.clone()),
            ]
        })
        .collect();
    render(&columns, &rows, layout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_why_it_stays() {
        let info = v1::WorkspaceInfo {
            path: "/s/worktrees/app-1/shell-4".to_owned(),
            branch: "agent/shell-4".to_owned(),
            task: 7,
            attempt: 2,
            repo: "/src/app".to_owned(),
            snapshots: vec!["refs/agentd/7/2".to_owned()],
            stays_for: vec!["2 files are not committed".to_owned()],
            ..v1::WorkspaceInfo::default()
        };
        let free = v1::WorkspaceInfo {
            path: "/s/worktrees/app-1/task-1".to_owned(),
            ..v1::WorkspaceInfo::default()
        };
        let lines = lines(&[info, free], Layout::default());
        let expected = [
            "TASK  REPO  BRANCH         SNAPSHOTS  STAYS FOR                   PATH",
            "7.2   app   agent/shell-4  1          2 files are not committed   /s/worktrees/app-1/shell-4",
            "-     -     -              0          nothing: it can be removed  /s/worktrees/app-1/task-1",
        ];
        assert_eq!(lines, expected);
    }
}
