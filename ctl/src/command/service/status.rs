//! `agentctl service status`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{linger_hint, program};
use crate::{
    cli::Context,
    doctor::{
        Severity, Surroundings,
        agents::KNOWN,
        units::{lingers, user_unit_dirs},
    },
    error::{EXIT_FAILED, EXIT_OK, Error},
    output::{
        json::{Document, SERVICE as SCHEMA},
        page::{Format, Page},
        table::one_line,
    },
    service::{
        SERVICE, SOCKET,
        environment::{Taken, path_of},
        files::{Found, Place, Wanted, exec_start, starts_of, text_of},
        manager::{Manager, Unit},
    },
};

/// Show whether the service is installed, enabled and running, which PATH it
/// has, and what is wrong with it.
///
/// Exit code 0: it is installed and nothing is wrong, 1: something is.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Where the unit comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum Installed {
    /// There is none.
    No,
    /// `agentctl service install` has written it.
    Own,
    /// The same, and somebody has changed it since.
    Edited,
    /// A package, or the administrator.
    Package,
    /// This user, by hand.
    Foreign,
}

/// Something that is not as it should be.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Trouble {
    severity: Severity,
    what: String,
    /// The command that mends it.
    fix: String,
}

/// Where the program of an agent is.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct AgentView {
    name: String,
    /// On the service's PATH; `null`: not there.
    program: Option<String>,
}

/// The service of this user.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct View {
    installed: Installed,
    /// The file of the unit.
    unit: Option<String>,
    /// What it starts.
    program: Option<String>,
    /// Started at each login, or at the start of the machine if its user lingers.
    enabled: bool,
    socket_enabled: bool,
    /// As systemd says: `active`, `inactive`, `failed` and others; `null`: the
    /// service manager cannot be asked.
    state: Option<String>,
    socket_state: Option<String>,
    pid: Option<u32>,
    /// The PATH that `install` has recorded.
    path: Option<String>,
    agents: Vec<AgentView>,
    /// It goes on when its user logs out.
    lingers: Option<bool>,
    /// What is wrong; notes are not.
    troubles: Vec<Trouble>,
}

impl Status {
    pub(crate) fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let view = look(cx);
        let wrong = view.troubles.iter().any(|t| t.severity.is_wrong());
        let code = if wrong { EXIT_FAILED } else { EXIT_OK };
        if let Some(script) = self.output.script() {
            cx.out.document(script, &Document::new(SCHEMA, view))?;
            return Ok(code);
        }
        print(&view, cx)?;
        Ok(code)
    }
}

fn print(view: &View, cx: &mut Context) -> Result<(), Error> {
    let zone = cx.out.zone();
    let mut page = Page::new(cx.out.color, cx.out.now, zone);
    page.field(
        "installed",
        match view.installed {
            Installed::No => "no",
            Installed::Own => "by agentctl",
            Installed::Edited => "by agentctl, and changed since",
            Installed::Package => "by a package",
            Installed::Foreign => "by hand",
        },
    );
    page.field("unit", view.unit.as_deref().unwrap_or_default());
    page.field("program", view.program.as_deref().unwrap_or_default());
    if view.installed != Installed::No {
        page.field(
            "enabled",
            match (view.enabled, view.socket_enabled) {
                (true, _) => "yes, at each login",
                (false, true) => "its socket: the first agentctl starts it",
                (false, false) => "no",
            },
        );
        let state = view.state.as_deref().unwrap_or("nobody knows");
        let pid = view
            .pid
            .map_or_else(String::new, |pid| format!(", pid {pid}"));
        page.field("state", &format!("{state}{pid}"));
        page.field("PATH", view.path.as_deref().unwrap_or("systemd's own"));
        for agent in &view.agents {
            page.field(
                &agent.name,
                agent.program.as_deref().unwrap_or("not on this PATH"),
            );
        }
        page.field(
            "lingers",
            match view.lingers {
                Some(true) => "yes",
                Some(false) => "no",
                None => "",
            },
        );
    }
    cx.out.bytes(page.into_text().as_bytes())?;
    for trouble in &view.troubles {
        let severity = trouble.severity.as_str();
        cx.out
            .line(&format!("{severity}: {}", one_line(&trouble.what)))?;
        cx.out.line(&format!("  fix: {}", one_line(&trouble.fix)))?;
    }
    Ok(())
}

/// What the files and the service manager say.
fn look(cx: &Context) -> View {
    let around = &cx.surroundings;
    let own = program(around);
    let named = own
        .clone()
        .unwrap_or_else(|| PathBuf::from("/usr/bin/agentd"));
    let asked = Manager::of_user(around)
        .and_then(|manager| Ok((manager.unit(SERVICE)?, manager.unit(SOCKET)?)));
    let place = Place::of(around, &named);
    let units = place.as_ref().and_then(|place| place.units(&named).ok());
    let (installed, file) = match units.iter().flatten().next() {
        Some(unit) => from(unit, around),
        None => (Installed::No, None),
    };
    let taken = Taken::of_shell(around, &cx.env);
    let drop_in = place.map(|place| place.drop_in(&taken.drop_in()));
    let path = drop_in.and_then(|file| path_of(&text_of(&file.path)?));
    let mut view = View {
        installed,
        program: file.as_deref().and_then(starts_of),
        unit: file.map(|file| file.display().to_string()),
        enabled: false,
        socket_enabled: false,
        state: None,
        socket_state: None,
        pid: None,
        agents: path.as_deref().map(agents_on).unwrap_or_default(),
        path,
        lingers: lingers(around),
        troubles: Vec::new(),
    };
    if installed == Installed::No {
        view.wrong("no unit of agentd is installed", "agentctl service install");
        return view;
    }
    view.judge_program(own.as_deref());
    match asked {
        Ok((service, socket)) => view.judge_state(service, socket),
        Err(error) => view.wrong(&error.to_string(), error.advice().unwrap_or(LOG)),
    }
    view.judge_path(&taken);
    if let Some((what, fix)) = linger_hint(around) {
        view.add(Severity::Note, &what, &fix);
    }
    view
}

/// Where more is to be read.
const LOG: &str = "journalctl --user -u agentd says why";

/// Whose unit it is, and its file: the user's own before any other.
fn from(own: &Wanted, around: &Surroundings) -> (Installed, Option<PathBuf>) {
    let installed = match own.look() {
        Ok(Found::Current | Found::Older) => Installed::Own,
        Ok(Found::Edited) => Installed::Edited,
        Ok(Found::Foreign) | Err(_) => Installed::Foreign,
        Ok(Found::Missing) => {
            let dirs = user_unit_dirs(around).into_iter();
            let file = dirs.map(|dir| dir.join(SERVICE)).find(|file| file.exists());
            return match file {
                Some(file) => (Installed::Package, Some(file)),
                None => (Installed::No, None),
            };
        }
    };
    (installed, Some(own.path.clone()))
}

/// The programs of agents on the service's PATH.
fn agents_on(path: &str) -> Vec<AgentView> {
    let there = Surroundings {
        path: Some(path.into()),
        ..Surroundings::default()
    };
    let agent = |name: &str| AgentView {
        name: name.to_owned(),
        program: there.find(name).map(|file| file.display().to_string()),
    };
    KNOWN.map(agent).into()
}

impl View {
    fn add(&mut self, severity: Severity, what: &str, fix: &str) {
        self.troubles.push(Trouble {
            severity,
            what: what.to_owned(),
            fix: fix.to_owned(),
        });
    }

    fn wrong(&mut self, what: &str, fix: &str) {
        self.add(Severity::Error, what, fix);
    }

    /// What makes the unit as `install` would have it.
    fn anew(&self) -> &'static str {
        match self.installed {
            Installed::No | Installed::Own | Installed::Package => "agentctl service install",
            Installed::Edited | Installed::Foreign => "agentctl service install --force",
        }
    }

    /// Whether what it starts is there, and the agentd of this agentctl.
    fn judge_program(&mut self, own: Option<&Path>) {
        let Some(starts) = self.program.clone() else {
            let file = self.unit.clone().unwrap_or_default();
            let what = format!("{file} is masked or starts no program");
            return self.wrong(&what, self.anew());
        };
        if own.and_then(exec_start).as_ref() == Some(&starts) {
            return;
        }
        let there = match starts.strip_prefix('"') {
            Some(rest) => rest.split('"').next(),
            None => starts.split_whitespace().next(),
        };
        let there = there.unwrap_or_default().replace("%%", "%");
        // What has a specifier in it is systemd's to read.
        if !there.contains('%') && !Path::new(&there).exists() {
            self.wrong(&format!("there is no {there}"), self.anew());
        } else if let Some(own) = own {
            let what = format!(
                "the service starts {there}, and beside this agentctl is {}",
                own.display()
            );
            self.add(Severity::Warning, &what, self.anew());
        }
    }

    /// Whether the manager has it enabled and running.
    fn judge_state(&mut self, service: Unit, socket: Unit) {
        if service.stale || socket.stale {
            let what = "the service manager has not read the units since they changed";
            self.add(Severity::Warning, what, "systemctl --user daemon-reload");
        }
        if !service.enabled && !socket.enabled {
            let what = "it is not enabled: after a restart of the machine nothing goes on";
            self.add(Severity::Warning, what, self.anew());
        }
        if service.state == "failed" || service.state == "activating" {
            self.wrong(&format!("the service is {}", service.state), LOG);
        } else if !service.is_active() && !socket.is_active() {
            self.wrong(
                "it does not run",
                "systemctl --user start agentd.socket agentd",
            );
        }
        self.enabled = service.enabled;
        self.socket_enabled = socket.enabled;
        self.pid = service.pid;
        self.state = Some(service.state);
        self.socket_state = Some(socket.state);
    }

    /// Whether it finds the agents that this shell finds.
    fn judge_path(&mut self, shell: &Taken) {
        let Some(path) = self.path.clone() else {
            let what = "it has systemd's PATH, which is shorter than this shell's";
            return self.add(Severity::Note, what, self.anew());
        };
        let here = shell.agents.iter().filter(|(_, program)| program.is_some());
        let lacks = |name: &str| {
            self.agents
                .iter()
                .any(|a| a.name == name && a.program.is_none())
        };
        let missing: Vec<&str> = here
            .map(|(name, _)| *name)
            .filter(|name| lacks(name))
            .collect();
        if !missing.is_empty() {
            let what = format!(
                "this shell finds {}, the service does not on {path}",
                missing.join(", ")
            );
            self.add(Severity::Warning, &what, self.anew());
        }
    }
}
