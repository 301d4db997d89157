//! The two text forms that Prometheus and its relatives read.
//!
//! [OpenMetrics] names a counter without its `_total` and knows more types; its
//! reader wants to be told the content type, and node_exporter's textfile collector
//! does not know it. The older [Prometheus text format] is understood everywhere.
//! Both have one line a sample, and the samples are the same.
//!
//! [OpenMetrics]: https://prometheus.io/docs/specs/om/open_metrics_spec/
//! [Prometheus text format]: https://prometheus.io/docs/instrumenting/exposition_formats/

use prometheus_client::{collector::Collector, encoding::text, registry::Registry};

/// The form of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `text/plain; version=0.0.4`.
    #[default]
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

impl Format {
    /// What a server says of it.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All that a page tells, in this form.
pub(super) fn write(page: impl Collector, format: Format) -> String {
    let mut registry = Registry::with_prefix("agentd");
    registry.register_collector(Box::new(page));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("a string takes whatever is written");
    match format {
        Format::OpenMetrics => text,
        Format::Prometheus => plain(&text),
    }
}

/// The same in the older form. Of each family the help comes first, then its
/// type, by which both lines are named.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        if let Some(told) = line.strip_prefix("# HELP ") {
            help = told.split_once(' ');
        } else if let Some(told) = line.strip_prefix("# TYPE ") {
            let (name, kind) = told.split_once(' ').unwrap_or((told, "untyped"));
            let (name, kind) = match kind {
                "counter" => (format!("{name}_total"), kind),
                "info" => (format!("{name}_info"), "gauge"),
                _ => (name.to_owned(), kind),
            };
            if let Some((_, help)) = help.take() {
                plain.push_str(&format!("# HELP {name} {help}\n"));
            }
            plain.push_str(&format!("# TYPE {name} {kind}\n"));
        } else if !line.starts_with('#') {
            plain.push_str(line);
            plain.push('\n');
        }
    }
    plain
}
