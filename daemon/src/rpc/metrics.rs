//! All figures, for Prometheus.

use std::sync::Arc;

use agentd_proto::v1::{self, metrics_request::Format as Asked};

use super::{Shared, error::Failure};
use crate::metrics::Format;

/// A form that we know.
pub(super) fn format(request: v1::MetricsRequest) -> Result<Format, Failure> {
    match Asked::try_from(request.format) {
        Ok(Asked::Unspecified | Asked::Prometheus) => Ok(Format::Prometheus),
        Ok(Asked::Openmetrics) => Ok(Format::OpenMetrics),
        Err(_) => Err(Failure::field(
            "format",
            "metrics are told as FORMAT_PROMETHEUS or FORMAT_OPENMETRICS",
        )),
    }
}

pub(super) async fn metrics(
    shared: &Arc<Shared>,
    format: Format,
) -> Result<v1::MetricsResponse, Failure> {
    let telling = Arc::clone(shared);
    let text = shared.blocking(move |_| Ok(telling.scraper.text(format)));
    Ok(v1::MetricsResponse { text: text.await? })
}
