//! What is wrong, as far as the daemon can see it.

use std::sync::Arc;

use agentd_proto::{reason, v1};
use tonic::Code;

use super::{Shared, error::Failure};
use crate::{
    clock,
    diagnose::{Finding, Severity, Subject, diagnose as look},
    reload::ReloadError,
};

/// Looks at everything; changes nothing.
pub(super) async fn diagnose(shared: &Arc<Shared>) -> Result<v1::DiagnoseResponse, Failure> {
    let on_disk = match shared.reloader.look().await {
        Ok(changes) => Ok(changes),
        Err(ReloadError::Config(error)) => Err(error),
        Err(ReloadError::Unavailable(unavailable)) => return Err(unavailable.into()),
        Err(error @ ReloadError::Died) => {
            return Err(Failure::new(
                Code::Internal,
                reason::DAEMON_STOPPING,
                error.to_string(),
            ));
        }
    };
    let shared = Arc::clone(shared);
    let looking = Arc::clone(&shared);
    let notices = shared.notices.standing();
    let found = looking.blocking(move |config| {
        Ok(look(&Subject {
            config,
            on_disk,
            trouble: shared.dispatcher.trouble(),
            state: &shared.state,
            store: &shared.store,
            socket: &shared.socket,
            containment: &shared.containment,
            notices: &notices,
            now: clock::now(),
        }))
    });
    Ok(v1::DiagnoseResponse {
        findings: found.await?.into_iter().map(message).collect(),
    })
}

fn message(finding: Finding) -> v1::Finding {
    let path = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let severity = match finding.severity {
        Severity::Good => v1::Severity::Good,
        Severity::Note => v1::Severity::Note,
        Severity::Warning => v1::Severity::Warning,
        Severity::Error => v1::Severity::Error,
    };
    v1::Finding {
        area: finding.area.as_str().to_owned(),
        severity: severity.into(),
        what: finding.what,
        why: finding.why,
        fix: finding.fix,
        aside: finding.aside.map(|aside| v1::finding::Aside {
            from: path(aside.from),
            to: path(aside.to),
        }),
    }
}
