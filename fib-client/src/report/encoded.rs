//! Histograms as text that other tools read: base64 of the compressed second version of the
//! `HdrHistogram` format.

use base64::{Engine, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Deserializer, Serializer, V2DeflateSerializer},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::load::Latencies;

/// A histogram as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Encoded(String);

/// The text is no histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a histogram is not one in base64 of HdrHistogram's V2 format")]
pub struct NotEncoded;

impl Encoded {
    /// Of this histogram.
    ///
    /// # Panics
    ///
    /// If it cannot be written to memory, which would be a bug.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(histogram, &mut bytes)
            .expect("a histogram can be written to memory");
        Self(STANDARD.encode(bytes))
    }

    /// The histogram again.
    ///
    /// # Errors
    ///
    /// [`NotEncoded`].
    pub fn decode(&self) -> Result<Histogram<u64>, NotEncoded> {
        let bytes = STANDARD.decode(&self.0).map_err(|_| NotEncoded)?;
        Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|_| NotEncoded)
    }
}

/// All samples of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Histograms {
    /// From when a request was due until before it was written, in nanoseconds.
    pub lag: Encoded,
    /// From before it was written until after its reply was read, in nanoseconds.
    pub service: Encoded,
    /// The sum of both, in nanoseconds.
    pub response: Encoded,
    /// Of requests that were never answered: how long after they were due they were given up, in
    /// nanoseconds.
    pub unanswered: Encoded,
}

impl Histograms {
    /// Of these samples.
    #[must_use]
    pub fn of(latencies: &Latencies) -> Self {
        Self {
            lag: Encoded::of(&latencies.lag),
            service: Encoded::of(&latencies.service),
            response: Encoded::of(&latencies.response),
            unanswered: Encoded::of(&latencies.censored),
        }
    }

    /// The samples again.
    ///
    /// # Errors
    ///
    /// [`NotEncoded`], also for samples that do not fit into an hour.
    pub fn decode(&self) -> Result<Latencies, NotEncoded> {
        let mut latencies = Latencies::new();
        let pairs = [
            (&mut latencies.lag, &self.lag),
            (&mut latencies.service, &self.service),
            (&mut latencies.response, &self.response),
            (&mut latencies.censored, &self.unanswered),
        ];
        for (into, encoded) in pairs {
            // Into bounds of our own: those of a document may be anything.
            into.add(encoded.decode()?).map_err(|_| NotEncoded)?;
        }
        Ok(latencies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_survives() {
        let mut latencies = Latencies::new();
        (1..100_000).for_each(|it| latencies.response.record(it * it).unwrap());
        let decoded = Histograms::of(&latencies).decode().unwrap();
        assert_eq!(decoded.response, latencies.response);
        assert_eq!(decoded.lag, latencies.lag);
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        for text in ["", "AAAA", "not base64", "HISTFAAAABt4nA=="] {
            assert_eq!(Encoded(text.to_owned()).decode(), Err(NotEncoded), "{text}");
        }
    }
}
