//! `agentctl doctor`.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use clap::Args;
use serde::Serialize;

use crate::{
    autostart,
    cli::Context,
    client::Client,
    doctor::{
        Finding, Severity, agents,
        daemon::{answers, left_alone, refuses},
        modes::{Places, modes},
        programs,
        units::units,
    },
    error::{EXIT_FAILED, EXIT_OK, Error},
    output::{
        Output,
        json::{DOCTOR, Document},
        page::Format,
        style::{DIM, ERROR, HEAD, WARNING, paint},
        table::one_line,
    },
    socket::Refusal,
};

/// Look for what is wrong, and say the command that mends it.
///
/// Looks at the configuration, the daemon's socket, who may use its files, its
/// store, the programs of agents (also those that your shell finds and the
/// daemon does not), control groups, systemd units and what was left behind.
/// It is of use when no daemon runs, too. Exit code 0: nothing is wrong, 1:
/// something is; what could only be better (note) is not wrong.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Mend what can be mended without asking: close files that are open to
    /// others, move aside directories of unknown attempts, make the indexes of
    /// the store anew when no daemon runs. Nothing is removed.
    #[arg(long)]
    fix: bool,

    /// How to print what was found.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct FindingView {
    /// What it is about: daemon, config, permissions, store, agents, cgroups,
    /// units, leftovers, system; there may be others.
    area: String,
    severity: Severity,
    what: String,
    why: Option<String>,
    /// The command that mends it.
    fix: Option<String>,
    /// `--fix` can do it.
    fixable: bool,
}

/// All that was looked at.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct View {
    errors: usize,
    warnings: usize,
    findings: Vec<FindingView>,
    /// What `--fix` has done, as commands; the findings are those of after it.
    mended: Vec<String>,
}

impl View {
    fn new(findings: Vec<Finding>, mended: Vec<String>) -> Self {
        let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
        let text = |text: String| (!text.is_empty()).then_some(text);
        Self {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            mended,
            findings: findings
                .into_iter()
                .map(|finding| FindingView {
                    area: finding.area,
                    severity: finding.severity,
                    what: finding.what,
                    why: text(finding.why),
                    fix: text(finding.fix),
                    fixable: finding.mend.is_some(),
                })
                .collect(),
        }
    }

    /// How much is wrong, in a line.
    fn tally(&self) -> String {
        let count = |number: usize, one: &str| match number {
            0 => None,
            1 => Some(format!("1 {one}")),
            number => Some(format!("{number} {one}s")),
        };
        let wrong = [count(self.errors, "error"), count(self.warnings, "warning")];
        let wrong: Vec<_> = wrong.into_iter().flatten().collect();
        if wrong.is_empty() {
            return "nothing is wrong".to_owned();
        }
        let fixable = self.findings.iter().filter(|f| f.fixable).count();
        let fix = match fixable {
            0 => String::new(),
            number => format!("; agentctl doctor --fix mends {number} of them"),
        };
        format!("{}{fix}", wrong.join(", "))
    }
}

impl Doctor {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let mut found = examine(cx).await;
        let mut mended = Vec::new();
        if self.fix {
            mended = mend(&found, &mut cx.out);
            if !mended.is_empty() {
                found = examine(cx).await;
            }
        }
        let view = View::new(found, mended);
        let code = match (view.errors, view.warnings) {
            (0, 0) => EXIT_OK,
            _ => EXIT_FAILED,
        };
        if let Some(script) = self.output.script() {
            cx.out.document(script, &Document::new(DOCTOR, view))?;
            return Ok(code);
        }
        for finding in &view.findings {
            print(finding, &mut cx.out)?;
        }
        cx.out.note(&view.tally());
        Ok(code)
    }
}

/// Does what can be done, saying each; what was done.
fn mend(found: &[Finding], out: &mut Output) -> Vec<String> {
    let mut done = Vec::new();
    for mend in found.iter().filter_map(|finding| finding.mend.as_ref()) {
        let command = mend.command();
        out.message(&format!("mending: {}", one_line(&command)));
        match mend.apply() {
            Ok(()) => done.push(command),
            Err(error) => {
                let error = one_line(&error.to_string());
                out.message(&format!("that failed: {error}"));
            }
        }
    }
    done
}

/// What is, why, and what to do: a line each.
fn print(finding: &FindingView, out: &mut Output) -> Result<(), Error> {
    let style = match finding.severity {
        Severity::Ok | Severity::Note => DIM,
        Severity::Warning => WARNING,
        Severity::Error => ERROR,
    };
    let word = format!("{:<8}", finding.severity.as_str());
    let word = paint(style, &word, out.color);
    let area = paint(HEAD, &one_line(&finding.area), out.color);
    out.line(&format!("{word} {area}: {}", one_line(&finding.what)))?;
    if finding.severity == Severity::Ok {
        return Ok(());
    }
    if let Some(why) = &finding.why {
        out.line(&format!("         {}", one_line(why)))?;
    }
    if let Some(fix) = &finding.fix {
        out.line(&format!("         fix: {}", one_line(fix)))?;
    }
    Ok(())
}

async fn examine(cx: &mut Context) -> Vec<Finding> {
    let mut refusals = Vec::new();
    for path in cx.sockets.paths.clone() {
        match Client::connect_to(&path).await {
            Ok(client) => {
                let before = refuses(&refusals, true, None);
                let seen = with_daemon(cx, &client).await;
                return before.into_iter().chain(seen).collect();
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    without_daemon(cx, &refusals)
}

async fn with_daemon(cx: &mut Context, client: &Client) -> Vec<Finding> {
    let around = &cx.surroundings;
    let status = match client.status().await {
        Ok(status) => status,
        Err(error) => return vec![unanswered("it listens and does not say how it is", &error)],
    };
    let mut found = answers(&status, cx.sockets.named);
    let told = |path: &str| (!path.is_empty()).then(|| PathBuf::from(path));
    let config = told(&status.config);
    let asked = client.diagnose();
    match cx.out.patiently("agentd looks at itself", asked).await {
        Ok(told) => found.extend(told.findings.into_iter().map(Finding::from)),
        Err(error) => found.push(unanswered("it does not look at itself", &error)),
    }
    found.extend(modes(&places(
        told(&status.state_dir),
        told(&status.socket),
        config.clone(),
    )));
    let home = around.config_home.as_ref();
    let config = config.or_else(|| Some(home?.join("agentd/config.toml")));
    let asked = client.agents();
    match cx.out.patiently("agentd asks its agents", asked).await {
        Ok(told) => found.extend(agents::agents(&told.agents, around, config.as_deref())),
        Err(error) => found.push(unanswered("it does not look at its agents", &error)),
    }
    found.extend(units(around, Some(status.pid)));
    found
}

fn unanswered(what: &str, error: &Error) -> Finding {
    let text = error.render();
    let why = text.strip_prefix("agentctl: ").unwrap_or(&text);
    Finding::new("daemon", Severity::Error, what)
        .because(why.replace('\n', "; "))
        .fix("look into its log: journalctl --user -u agentd, or agentd.log in its state directory")
}

fn without_daemon(cx: &Context, refusals: &[Refusal]) -> Vec<Finding> {
    let around = &cx.surroundings;
    let start = &cx.sockets.start;
    let mut found = refuses(refusals, false, Some((start, cx.starts())));
    let state = cx.env.state_dir();
    // A socket that was named may be that of a daemon with another directory.
    found.extend(state.iter().filter_map(|state| left_alone(state, start)));
    let program = autostart::find_program(around.own.as_deref(), around.path.as_deref());
    match program {
        Some(program) => {
            let configuration = programs::configuration(&program);
            // agentd reads its configuration before it looks at its store.
            if configuration.iter().all(|f| !f.severity.is_wrong()) {
                found.push(programs::store(&program));
            }
            found.extend(configuration);
        }
        None => found.push(
            Finding::new("daemon", Severity::Error, "there is no agentd")
                .because("it is neither beside agentctl nor on PATH")
                .fix("install agentd beside agentctl"),
        ),
    }
    found.extend(modes(&places(state, None, None)));
    found.extend(units(around, None));
    found
}

/// The daemon's user is whoever its directory belongs to, if root asks; else it
/// is whoever asks.
fn places(state: Option<PathBuf>, socket: Option<PathBuf>, config: Option<PathBuf>) -> Places {
    let own = nix::unistd::geteuid();
    let owner = state
        .as_ref()
        .filter(|_| own.is_root())
        .and_then(|state| fs::metadata(state).ok());
    Places {
        uid: owner.map_or(own.as_raw(), |meta| meta.uid()),
        state,
        socket,
        config,
    }
}
