//! Other tasks of a lineage, or of a key.

use agentd_proto::v1;
use serde::Serialize;

use super::{state_word, text};

/// Another task that belongs to the story of one.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RelativeView {
    id: u64,
    state: &'static str,
    failure_reason: Option<String>,
    message: Option<String>,
}

impl From<v1::Relative> for RelativeView {
    fn from(relative: v1::Relative) -> Self {
        Self {
            id: relative.task,
            state: state_word(relative.state()),
            failure_reason: text(relative.failure_reason),
            message: text(relative.message),
        }
    }
}
