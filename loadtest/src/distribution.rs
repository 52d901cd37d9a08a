//! A distribution of times that can be sent to another process and added up there.
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use serde::de::Error as _;

use crate::latency::Summary;

/// Longer times are taken as this.
const LONGEST_US: u64 = 60_000_000;
/// Two digits: each figure is right to 1 %.
const DIGITS: u8 = 2;

/// Microseconds. Takes no memory while it is empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct Distribution(Option<Box<Histogram<u64>>>);

impl Distribution {
    pub(crate) fn record(&mut self, time: Duration) {
        self.record_us(u64::try_from(time.as_micros()).unwrap_or(LONGEST_US));
    }

    pub(crate) fn record_us(&mut self, us: u64) {
        self.histogram().saturating_record(us.clamp(1, LONGEST_US));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let Some(other) = &other.0 else { return };
        let histogram = self.histogram();
        // Unlike `Histogram::add` this cannot fail, whatever bounds the other has.
        for value in other.iter_recorded() {
            histogram.saturating_record_n(
                value.value_iterated_to().clamp(1, LONGEST_US),
                value.count_since_last_iteration(),
            );
        }
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, |histogram| histogram.len())
    }

    /// `None` if nothing was recorded.
    pub(crate) fn quantile_ms(&self, share: f64) -> Option<f64> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        Some(histogram.value_at_quantile(share) as f64 / 1e3)
    }

    pub(crate) fn max_ms(&self) -> f64 {
        self.0.as_ref().map_or(0.0, |histogram| histogram.max() as f64 / 1e3)
    }

    /// How many fall into each of `bins` equal ranges from 0 to the largest, and how wide a range is.
    pub(crate) fn bins(&self, bins: usize) -> (Vec<u64>, f64) {
        let width = (self.max_ms() / bins.max(1) as f64).max(1e-3);
        let mut counts = vec![0; bins.max(1)];
        for value in self.0.iter().flat_map(|histogram| histogram.iter_recorded()) {
            let bin = (value.value_iterated_to() as f64 / 1e3 / width) as usize;
            counts[bin.min(bins.max(1) - 1)] += value.count_since_last_iteration();
        }
        (counts, width)
    }

    pub(crate) fn summary(&self) -> Summary {
        self.0.as_ref().map_or_else(Summary::default, |histogram| Summary::of_us(histogram))
    }

    #[allow(clippy::expect_used, reason = "the bounds are constants: 1 <= 60,000,000 / 2 and 2 <= 5 digits")]
    fn histogram(&mut self) -> &mut Histogram<u64> {
        self.0.get_or_insert_with(|| {
            Box::new(Histogram::new_with_bounds(1, LONGEST_US, DIGITS).expect("constant bounds are valid"))
        })
    }
}

impl serde::Serialize for Distribution {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        if let Some(histogram) = &self.0 {
            V2Serializer::new().serialize(histogram, &mut bytes).map_err(serde::ser::Error::custom)?;
        }
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> serde::Deserialize<'de> for Distribution {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self::default());
        }
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        let read = Deserializer::new().deserialize(&mut bytes.as_slice());
        read.map(|histogram| Self(Some(Box::new(histogram))))
            .map_err(|error| D::Error::custom(format!("{error:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: impl IntoIterator<Item = u64>) -> Distribution {
        let mut distribution = Distribution::default();
        times.into_iter().for_each(|ms| distribution.record(Duration::from_millis(ms)));
        distribution
    }

    #[test]
    fn halves_that_travelled_add_up_to_the_whole() {
        let text = serde_json::to_string(&of(51..=100)).unwrap();
        let mut sum = of(1..=50);
        sum.add(&serde_json::from_str(&text).unwrap());
        let (sum, whole) = (sum.summary(), of(1..=100).summary());
        assert_eq!(sum.count, 100);
        for (sum, whole) in
            [(sum.p50_ms, whole.p50_ms), (sum.p99_ms, whole.p99_ms), (sum.max_ms, whole.max_ms)]
        {
            assert!((sum / whole - 1.0).abs() < 0.02, "{sum} {whole}");
        }
    }

    #[test]
    fn an_empty_one_travels_as_nothing() {
        let text = serde_json::to_string(&Distribution::default()).unwrap();
        assert_eq!(text, "\"\"");
        let mut read: Distribution = serde_json::from_str(&text).unwrap();
        assert_eq!((read.count(), read.quantile_ms(0.5)), (0, None));
        read.add(&of([5]));
        assert_eq!(read.count(), 1);
        assert!(serde_json::from_str::<Distribution>("\"AAAA\"").is_err());
    }

    #[test]
    fn bins_hold_everything() {
        let (counts, width) = of(1..=100).bins(10);
        assert_eq!(counts.iter().sum::<u64>(), 100);
        assert!((9.9..10.3).contains(&width), "{width}");
        assert_eq!(of([]).bins(4).0, [0, 0, 0, 0]);
    }
}
