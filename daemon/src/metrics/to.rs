//! How a family is written: its help, its type, its samples.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::gauge::ConstGauge,
};

use crate::task::id::Timestamp;

/// Where it is written to.
pub(super) struct To<'a>(DescriptorEncoder<'a>);

impl<'a> To<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// A family with one sample.
    pub(super) fn one(&mut self, name: &str, help: &str, metric: impl EncodeMetric) -> fmt::Result {
        let kind = metric.metric_type();
        metric.encode(self.0.encode_descriptor(name, help, None, kind)?)
    }

    /// A family with one sample, if that is known.
    pub(super) fn some(&mut self, name: &str, help: &str, gauge: Option<u64>) -> fmt::Result {
        match gauge {
            Some(value) => self.one(name, help, ConstGauge::new(value)),
            None => Ok(()),
        }
    }

    /// A family with a sample for each set of labels; without any it is left out.
    pub(super) fn each<L: EncodeLabelSet, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, M)>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        let Some((_, first)) = samples.peek() else {
            return Ok(());
        };
        let kind = first.metric_type();
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, metric) in samples {
            metric.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// Seconds since 1970.
pub(super) fn unix(at: Timestamp) -> f64 {
    at.0 as f64 / 1000.0
}
