//! `agentctl reload`.

use clap::Args;

use crate::{
    cli::Context,
    error::{EXIT_OK, Error, Kind},
};

/// Have agentd read its configuration anew.
///
/// What can be applied while tasks run counts at once; what cannot is named. A
/// configuration with a fault changes nothing, and the exit code is 1. SIGHUP
/// does the same.
#[derive(Debug, Args)]
pub(crate) struct Reload {}

impl Reload {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let reading = client.reload();
        let told = cx
            .out
            .patiently("agentd reads its configuration", reading)
            .await?;
        if !told.problems.is_empty() {
            for problem in &told.problems {
                cx.out.message(problem);
            }
            return Err(Error::new(
                Kind::Other,
                "the configuration has faults, and stays as it was",
            )
            .hint("agentd check-config says whether it is good, without a daemon"));
        }
        let from = match told.config.as_str() {
            "" => "there is no configuration file, the defaults count",
            file => file,
        };
        let applied = match told.applied.is_empty() {
            true => "nothing changed".to_owned(),
            false => format!("applied {}", told.applied.join(", ")),
        };
        cx.out.message(&format!("{from}: {applied}"));
        if !told.needs_restart.is_empty() {
            cx.out.message(&format!(
                "from the next start of agentd on: {} (agents outlive a restart)",
                told.needs_restart.join(", ")
            ));
        }
        Ok(EXIT_OK)
    }
}
