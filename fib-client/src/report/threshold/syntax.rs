//! Thresholds as they are typed, and as they are told.

use std::{fmt, str::FromStr, time::Duration};

use super::{Metric, Operator, Row, Statistic, Threshold, ThresholdError, to_nanos};

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| ThresholdError { text: text.to_owned(), reason };
        let compact: String = text.chars().filter(|it| !it.is_whitespace()).collect();
        let at = compact.find(['<', '>', '=', '!']).ok_or_else(|| wrong("there is no < or >"))?;
        let (left, right) = compact.split_at(at);
        let (sign, operator) = Operator::ALL
            .iter()
            .find(|(sign, _)| right.starts_with(sign))
            .ok_or_else(|| wrong("no operator of < <= > >= == !="))?;
        let metric = parse_metric(left).map_err(wrong)?;
        let limit = &right[sign.len()..];
        let limit = match metric {
            Metric::Time { .. } => parse_time(limit),
            Metric::Errors | Metric::Delivered => parse_share(limit),
            Metric::Rate => limit.parse().ok(),
        };
        let limit = limit.filter(|it| it.is_finite() && *it >= 0.0);
        let limit = limit.ok_or_else(|| wrong("the limit does not fit the metric"))?;
        Ok(Self { metric, operator: *operator, limit })
    }
}

fn parse_metric(text: &str) -> Result<Metric, &'static str> {
    match text {
        "errors" => return Ok(Metric::Errors),
        "rate" => return Ok(Metric::Rate),
        "delivered" => return Ok(Metric::Delivered),
        _ => {}
    }
    let (selector, statistic) = text.rsplit_once(':').unwrap_or(("response", text));
    // The colon of {n:30} is not the one before the statistic.
    let (selector, statistic) =
        if statistic.ends_with('}') { (text, "") } else { (selector, statistic) };
    let (row, n) = match selector.split_once('{') {
        Some((row, class)) => {
            let n = class.strip_prefix("n:").and_then(|it| it.strip_suffix('}')?.parse().ok());
            (row, Some(n.ok_or("a class is {n:NUMBER}")?))
        }
        None => (selector, None),
    };
    let row = match row {
        "lag" => Row::Lag,
        "service" => Row::Service,
        "response" | "" => Row::Response,
        _ => return Err("no metric of lag, service, response, errors, rate, delivered"),
    };
    let statistic = match statistic {
        "avg" => Statistic::Mean,
        "min" => Statistic::Min,
        "max" => Statistic::Max,
        "med" => Statistic::Percentile(50.0),
        other => {
            let percent = other.strip_prefix("p(").and_then(|it| it.strip_suffix(')'));
            let percent = percent.and_then(|it| it.parse().ok());
            let percent = percent.filter(|percent| *percent > 0.0 && *percent < 100.0);
            Statistic::Percentile(percent.ok_or("no statistic of p(N), avg, med, min, max")?)
        }
    };
    Ok(Metric::Time { row, n, statistic })
}

/// In nanoseconds.
fn parse_time(text: &str) -> Option<f64> {
    if let Ok(millis) = text.parse::<f64>() {
        return Some(millis * 1e6);
    }
    let (digits, unit) = text.split_at(text.find(|it: char| it.is_alphabetic())?);
    match (digits.parse::<f64>(), unit) {
        (Ok(value), "ns") => Some(value),
        (Ok(value), "us" | "µs") => Some(value * 1e3),
        (Ok(value), "ms") => Some(value * 1e6),
        (Ok(value), "s") => Some(value * 1e9),
        _ => humantime::parse_duration(text).ok().map(|it: Duration| it.as_secs_f64() * 1e9),
    }
}

fn parse_share(text: &str) -> Option<f64> {
    match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().ok().map(|it| it / 100.0),
        None => text.parse().ok(),
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = self.operator.sign();
        match self.metric {
            Metric::Errors => write!(f, "errors{sign}{}%", rounded(self.limit * 100.0)),
            Metric::Delivered => write!(f, "delivered{sign}{}%", rounded(self.limit * 100.0)),
            Metric::Rate => write!(f, "rate{sign}{}", self.limit),
            Metric::Time { row, n, statistic } => {
                let row = match row {
                    Row::Lag => "lag",
                    Row::Service => "service",
                    Row::Response => "response",
                };
                let class = n.map(|n| format!("{{n:{n}}}")).unwrap_or_default();
                if row != "response" || n.is_some() {
                    write!(f, "{row}{class}:")?;
                }
                match statistic {
                    Statistic::Percentile(50.0) => f.write_str("med")?,
                    Statistic::Percentile(percent) => write!(f, "p({percent})")?,
                    Statistic::Mean => f.write_str("avg")?,
                    Statistic::Min => f.write_str("min")?,
                    Statistic::Max => f.write_str("max")?,
                }
                let limit = Duration::from_nanos(to_nanos(self.limit));
                write!(f, "{sign}{}", humantime::format_duration(limit))
            }
        }
    }
}

/// A percentage that was typed, without what is added by dividing and multiplying it.
fn rounded(percent: f64) -> f64 {
    (percent * 1e9).round() / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_threshold_is_told() {
        for text in [
            "",
            "p(99)",
            "p(99)<",
            "p(0)<1ms",
            "p(100)<1ms",
            "p99<1ms",
            "foo:p(99)<1ms",
            "p(99)<5%",
            "errors<5ms",
            "rate>=x",
            "p(99)<-1ms",
            "response{30}:avg<1ms",
            "service{n:30}<1ms",
        ] {
            assert!(text.parse::<Threshold>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_threshold_reads_as_it_was_written() {
        for text in [
            "p(99)<5ms",
            "lag:max<=20us",
            "service{n:30}:p(99.9)<1s",
            "errors<0.1%",
            "rate>=1000",
            "delivered>=98%",
            "avg<250ns",
            "med!=1ms",
            "min>1ms",
            "rate==5",
        ] {
            assert_eq!(text.parse::<Threshold>().unwrap().to_string(), text);
        }
    }
}
