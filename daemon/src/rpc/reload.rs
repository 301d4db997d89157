//! Reading the configuration anew, for a person.

use agentd_proto::{reason, v1};
use tonic::Code;

use super::{Shared, error::Failure};
use crate::{
    config::{Change, ConfigError},
    reload::ReloadError,
};

/// Says what was applied, or what is wrong with the configuration.
pub(super) async fn reload(shared: &Shared) -> Result<v1::ReloadResponse, Failure> {
    let reloaded = match shared.reloader.reload().await {
        Ok(reloaded) => reloaded,
        Err(ReloadError::Config(error)) => {
            return Ok(v1::ReloadResponse {
                problems: problems(&error),
                ..v1::ReloadResponse::default()
            });
        }
        Err(ReloadError::Unavailable(unavailable)) => return Err(unavailable.into()),
        Err(error @ ReloadError::Died) => {
            return Err(Failure::new(
                Code::Internal,
                reason::DAEMON_STOPPING,
                error.to_string(),
            ));
        }
    };
    let keys = |needs_restart| {
        let changes = reloaded.changes.iter();
        let wanted = changes.filter(move |change: &&Change| change.needs_restart == needs_restart);
        wanted.map(|change| change.key.clone()).collect()
    };
    Ok(v1::ReloadResponse {
        config: reloaded
            .source
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned())
            .unwrap_or_default(),
        applied: keys(false),
        needs_restart: keys(true),
        problems: Vec::new(),
    })
}

/// As `agentd check-config` words them.
fn problems(error: &ConfigError) -> Vec<String> {
    let mut text = error.to_string();
    if let ConfigError::Read { source, .. } = error {
        text = format!("{text}: {source}");
    }
    text.lines().map(str::to_owned).collect()
}
