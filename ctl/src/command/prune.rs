//! `agentctl prune`.

use std::collections::BTreeMap;

use agentd_proto::v1::{self, prune_response::Kind};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::count;
use crate::{
    cli::Context,
    error::{EXIT_OK, Error},
    output::{
        json::{Document, PRUNED, PRUNED_ITEM, Script},
        page::bytes,
    },
    when::Span,
};

/// Remove what ended long ago: history, transcripts, worktrees.
///
/// Without --older-than everything is kept for as long as the retention section
/// of the daemon's configuration says; the daemon also does this by itself, once
/// a day. A task goes together with its reruns, once all of them are old enough.
///
/// A worktree goes if no active task has it, everything in it is committed, and
/// its commits are on another branch or pushed; then its branch goes as well.
/// One with something else in it goes only when it is as old as the configuration
/// says, whatever --older-than, and after that was recorded under refs/agentd.
/// Nothing under refs/agentd is ever removed: while the task is kept, agentctl
/// workspace restore brings it back, and git does for ever.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// What ended at least so long ago: 12h, 30d, 0s.
    #[arg(long, value_name = "TIME")]
    older_than: Option<Span>,

    /// Keep everything of so many tasks, the newest.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = count::<u64>)]
    keep: u64,

    /// Only say what would be removed.
    #[arg(long)]
    dry_run: bool,

    /// Only history; may be given with the two below [default: all three].
    #[arg(long)]
    tasks: bool,

    /// Only transcripts.
    #[arg(long)]
    transcripts: bool,

    /// Only worktrees.
    #[arg(long)]
    worktrees: bool,

    /// Also a line for each thing that stays, and why.
    #[arg(short, long)]
    verbose: bool,

    /// How to print it.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// How to print what was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// A line for each thing that goes, when it is done; what stays is counted.
    #[default]
    #[value(alias = "table")]
    Text,
    /// One object, at the end.
    Json,
    /// One object a line for each thing, when it is done.
    Jsonl,
    /// The same as json, in YAML.
    Yaml,
}

/// One thing, for a script.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ItemView {
    kind: &'static str,
    task: Option<u64>,
    attempt: Option<u32>,
    path: Option<String>,
    /// The branch that went with a worktree.
    branch: Option<String>,
    bytes: u64,
    /// Gone, or would go.
    removed: bool,
    stays_for: Vec<String>,
}

/// How many went, or would go.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Totals {
    tasks: u64,
    transcripts: u64,
    worktrees: u64,
    bytes: u64,
    stay: u64,
}

/// All that was looked at.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct View {
    dry_run: bool,
    items: Vec<ItemView>,
    totals: Totals,
}

impl From<v1::PruneResponse> for ItemView {
    fn from(item: v1::PruneResponse) -> Self {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            kind: kind_word(item.kind()),
            task: (item.task != 0).then_some(item.task),
            attempt: (item.attempt != 0).then_some(item.attempt),
            path: text(&item.path),
            branch: text(&item.branch),
            bytes: item.bytes,
            removed: item.stays_for.is_empty(),
            stays_for: item.stays_for,
        }
    }
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Task => "task",
        Kind::Transcript => "transcript",
        Kind::Worktree => "worktree",
        Kind::Directory => "directory",
        Kind::Unspecified => "other",
    }
}

impl Totals {
    fn add(&mut self, item: &v1::PruneResponse) {
        if !item.stays_for.is_empty() {
            self.stay += 1;
            return;
        }
        self.bytes += item.bytes;
        match item.kind() {
            Kind::Task => self.tasks += 1,
            Kind::Transcript => self.transcripts += 1,
            Kind::Worktree => self.worktrees += 1,
            Kind::Directory | Kind::Unspecified => {}
        }
    }

    fn text(&self, dry_run: bool) -> String {
        let verb = if dry_run { "would remove" } else { "removed" };
        let count = |number: u64, one: &str| match number {
            1 => format!("1 {one}"),
            number => format!("{number} {one}s"),
        };
        let stay = match self.stay {
            0 => String::new(),
            1 => "; 1 stays".to_owned(),
            number => format!("; {number} stay"),
        };
        format!(
            "{verb} {}, {} ({}), {}{stay}",
            count(self.tasks, "task"),
            count(self.transcripts, "transcript"),
            bytes(self.bytes),
            count(self.worktrees, "worktree"),
        )
    }
}

impl Prune {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let request = v1::PruneRequest {
            older_than_ms: self.older_than.map(Span::as_millis),
            keep: self.keep,
            dry_run: self.dry_run,
            tasks: self.tasks,
            transcripts: self.transcripts,
            worktrees: self.worktrees,
        };
        let mut items = client.prune(request).await?;
        let mut looked_at = 0_u64;
        let mut totals = Totals::default();
        let mut stays = Stays::default();
        let mut views = Vec::new();
        while let Some(item) = cx
            .out
            .patiently("looking for what is old", items.message())
            .await?
        {
            totals.add(&item);
            looked_at += 1;
            if looked_at.is_multiple_of(TOLD) {
                cx.out.progress(&format!("{looked_at} looked at"));
            }
            match self.output {
                Format::Text if !self.verbose && !item.stays_for.is_empty() => stays.add(&item),
                Format::Text => cx.out.line(&line(&item, self.dry_run))?,
                Format::Jsonl => {
                    cx.out
                        .json(&Document::new(PRUNED_ITEM, ItemView::from(item)))?;
                }
                Format::Json | Format::Yaml => views.push(ItemView::from(item)),
            }
            cx.out.flush()?;
        }
        let script = match self.output {
            Format::Json => Script::Json,
            Format::Yaml => Script::Yaml,
            Format::Text | Format::Jsonl => {
                for line in stays.lines() {
                    cx.out.note(&line);
                }
                cx.out.note(&totals.text(self.dry_run));
                return Ok(EXIT_OK);
            }
        };
        let view = View {
            dry_run: self.dry_run,
            items: views,
            totals,
        };
        cx.out.document(script, &Document::new(PRUNED, view))?;
        Ok(EXIT_OK)
    }
}

/// After so many things it is said how many were looked at.
const TOLD: u64 = 100;

/// So many reasons are told apart.
const MOST_REASONS: usize = 20;

/// How many stay, by what they are and why.
#[derive(Debug, Default)]
struct Stays {
    by_reason: BTreeMap<(&'static str, String), u64>,
    /// Those with yet another reason.
    others: u64,
}

impl Stays {
    fn add(&mut self, item: &v1::PruneResponse) {
        let key = (kind_word(item.kind()), item.stays_for.join("; "));
        if self.by_reason.len() < MOST_REASONS || self.by_reason.contains_key(&key) {
            *self.by_reason.entry(key).or_default() += 1;
        } else {
            self.others += 1;
        }
    }

    fn lines(&self) -> Vec<String> {
        let stay = |number: u64, kind: &str, why: &str| match number {
            1 => format!("1 {kind} stays: {why}"),
            number => format!("{number} {} stay: {why}", plural(kind)),
        };
        let told = self.by_reason.iter();
        let mut lines: Vec<String> = told
            .map(|((kind, why), number)| stay(*number, kind, why))
            .collect();
        if self.others > 0 {
            lines.push(stay(self.others, "other", "--verbose says why"));
        }
        lines
    }
}

fn plural(kind: &str) -> String {
    match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{kind}s"),
    }
}

fn line(item: &v1::PruneResponse, dry_run: bool) -> String {
    let name = match (item.kind(), item.path.as_str()) {
        (Kind::Transcript, _) => format!("{}.{}", item.task, item.attempt),
        (_, "") => item.task.to_string(),
        (_, path) => path.to_owned(),
    };
    let what = match (item.stays_for.is_empty(), dry_run) {
        (false, _) => format!("stays: {}", item.stays_for.join("; ")),
        (true, true) => "would be removed".to_owned(),
        (true, false) => "removed".to_owned(),
    };
    let more = match (item.bytes, item.branch.as_str()) {
        (0, "") => String::new(),
        (0, branch) => format!(", with branch {branch}"),
        (size, _) => format!(", {}", bytes(size)),
    };
    format!("{} {name}: {what}{more}", kind_word(item.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_counted_by_reason() {
        let item = |kind: Kind, why: &str| v1::PruneResponse {
            kind: kind.into(),
            stays_for: vec![why.to_owned()],
            ..v1::PruneResponse::default()
        };
        let mut stays = Stays::default();
        for _ in 0..60 {
            stays.add(&item(Kind::Task, "it ended not long enough ago"));
        }
        stays.add(&item(Kind::Directory, "nobody knows it"));
        stays.add(&item(Kind::Directory, "nobody knows it"));
        assert_eq!(
            stays.lines(),
            [
                "2 directories stay: nobody knows it",
                "60 tasks stay: it ended not long enough ago",
            ]
        );
        for number in 0..100 {
            stays.add(&item(Kind::Worktree, &number.to_string()));
        }
        let lines = stays.lines();
        assert_eq!(lines.len(), MOST_REASONS + 1);
        assert_eq!(lines[MOST_REASONS], "82 others stay: --verbose says why");
    }

    #[test]
    fn each_thing_is_a_line_and_all_are_counted() {
        let item = |kind: Kind| v1::PruneResponse {
            kind: kind.into(),
            task: 7,
            ..v1::PruneResponse::default()
        };
        let items = [
            item(Kind::Task),
            v1::PruneResponse {
                attempt: 2,
                bytes: 2048,
                ..item(Kind::Transcript)
            },
            v1::PruneResponse {
                path: "/w/a".to_owned(),
                branch: "agent/a".to_owned(),
                ..item(Kind::Worktree)
            },
            v1::PruneResponse {
                path: "/w/b".to_owned(),
                stays_for: vec!["1 file is not committed".to_owned()],
                ..item(Kind::Worktree)
            },
        ];
        let lines: Vec<String> = items.iter().map(|item| line(item, false)).collect();
        let expected = [
            "task 7: removed",
            "transcript 7.2: removed, 2.0 KiB",
            "worktree /w/a: removed, with branch agent/a",
            "worktree /w/b: stays: 1 file is not committed",
        ];
        assert_eq!(lines, expected);
        assert_eq!(line(&items[0], true), "task 7: would be removed");
        let mut totals = Totals::default();
        items.iter().for_each(|item| totals.add(item));
        let text = "removed 1 task, 1 transcript (2.0 KiB), 1 worktree; 1 stays";
        assert_eq!(totals.text(false), text);
    }
}
