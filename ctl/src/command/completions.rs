//! `agentctl completions`.

use clap::{Args, ValueEnum};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use crate::{
    cli::Context,
    complete::VARIABLE,
    error::{EXIT_OK, Error},
};

const HELP: &str = "\
For this shell only: source <(agentctl completions bash)
For good:
  bash  agentctl completions bash >~/.local/share/bash-completion/completions/agentctl
  zsh   agentctl completions zsh >DIR/_agentctl, where DIR is in $fpath
  fish  agentctl completions fish >~/.config/fish/completions/agentctl.fish";

/// Print the script that completes agentctl's words in a shell.
///
/// It asks the daemon, so that Tab knows the ids, agents and repositories that
/// there are.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Completions {
    /// Whose script.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(crate) fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let completer: &dyn EnvCompleter = match self.shell {
            Shell::Bash => &Bash,
            Shell::Zsh => &Zsh,
            Shell::Fish => &Fish,
        };
        let mut script = Vec::new();
        completer.write_registration(VARIABLE, "agentctl", "agentctl", "agentctl", &mut script)?;
        cx.out.bytes(&script)?;
        Ok(EXIT_OK)
    }
}
