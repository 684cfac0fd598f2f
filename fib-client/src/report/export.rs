//! A report in the formats of other tools.

use std::{
    borrow::Cow,
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use hdrhistogram::serialization::{
    V2DeflateSerializer,
    interval_log::{IntervalLogWriterBuilder, Tag},
};

use crate::report::{Latency, NotEncoded, Report, Rows, WindowReport, document::sum, to_f64};

/// How fine the percentile distribution is: steps until half of what is left.
const STEPS_PER_HALF: u32 = 5;

impl Report {
    /// Its timeline as CSV, a line a window. Times are in seconds, absent ones empty.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut csv = String::from(
            "start_s,length_s,sent,replies,failures,in_flight,min_s,p50_s,p90_s,p99_s,p99_9_s,max_s\n",
        );
        for (start, length, window) in self.windows() {
            let (start, length) = (start.as_secs_f64(), length.as_secs_f64());
            let in_flight = to_f64(window.in_flight_ns) / 1e9 / length.max(1e-9);
            let WindowReport { sent, replies, failures, response, .. } = window;
            let _ = write!(csv, "{start},{length},{sent},{replies},{failures},{in_flight:.3}");
            let Latency { min_ns, p50_ns, p90_ns, p99_ns, p99_9_ns, max_ns, .. } = response;
            for nanos in [min_ns, p50_ns, p90_ns, p99_ns, p99_9_ns, max_ns] {
                let seconds = nanos.map(|it| format!("{:.9}", to_f64(it) / 1e9));
                let _ = write!(csv, ",{}", seconds.unwrap_or_default());
            }
            csv.push('\n');
        }
        csv
    }

    /// Its timeline of response times as an `HdrHistogram` log; maxima are told in milliseconds.
    ///
    /// # Errors
    ///
    /// [`NotEncoded`] if the samples are not what they should be. A window without them is left
    /// out.
    pub fn to_hlog(&self) -> Result<String, NotEncoded> {
        let began = humantime::parse_rfc3339(&self.began).unwrap_or(SystemTime::UNIX_EPOCH);
        let (mut log, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
        let mut writer = IntervalLogWriterBuilder::new()
            .add_comment("response times in nanoseconds")
            .with_start_time(began)
            .with_base_time(began)
            .with_max_value_divisor(1e6)
            .begin_log_with(&mut log, &mut serializer)
            .map_err(|_| NotEncoded)?;
        for (start, length, window) in self.windows() {
            let Some(encoded) = &window.histogram else { continue };
            let histogram = encoded.decode()?;
            writer
                .write_histogram(&histogram, start, length, Tag::new("response"))
                .map_err(|_| NotEncoded)?;
        }
        String::from_utf8(log).map_err(|_| NotEncoded)
    }

    /// The distribution of its response times in milliseconds.
    ///
    /// # Errors
    ///
    /// [`NotEncoded`] if the samples are not what they should be, or left out.
    pub fn to_hgrm(&self) -> Result<String, NotEncoded> {
        let response = self.samples()?.response;
        let mut hgrm = format!(
            "{:>12} {:>14} {:>10} {:>14}\n\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        );
        let mut total = 0;
        for step in response.iter_quantiles(STEPS_PER_HALF) {
            total += step.count_since_last_iteration();
            let (value, quantile) = (to_f64(step.value_iterated_to()) / 1e6, step.quantile());
            let _ = write!(hgrm, "{value:12.3} {quantile:2.12} {total:10}");
            let _ = match quantile {
                1.0.. => writeln!(hgrm),
                _ => writeln!(hgrm, " {:14.2}", 1.0 / (1.0 - quantile)),
            };
        }
        let (mean, deviation) = (response.mean() / 1e6, response.stdev() / 1e6);
        let (max, count) = (to_f64(response.max()) / 1e6, response.len());
        let _ = writeln!(hgrm, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]");
        let _ = writeln!(hgrm, "#[Max     = {max:12.3}, Total count    = {count:12}]");
        Ok(hgrm)
    }

    /// Its numbers in Prometheus' text format, for an exporter that reads files.
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, f64)]| {
            let _ = writeln!(text, "# HELP fib_client_{name} {help}");
            let _ = writeln!(text, "# TYPE fib_client_{name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(text, "fib_client_{name}{labels} {value}");
            }
        };
        let numbers = [
            ("replies_per_second", "Right replies per second.", self.rate_per_s),
            ("replies", "Right replies.", to_f64(self.replies)),
            ("wrong_answers", "Replies that were not right.", to_f64(self.wrong_answers)),
            ("elapsed_seconds", "Measured time.", self.elapsed_s),
        ];
        for (name, help, value) in numbers {
            family(name, "gauge", help, &[(String::new(), value)]);
        }
        let failures = self.failures.iter();
        let failures = failures.map(|it| (format!("{{kind=\"{}\"}}", it.kind), to_f64(it.count)));
        let failures: Vec<_> = failures.collect();
        family("failures", "gauge", "What went wrong, by kind.", &failures);
        let classes = self.classes.iter();
        let latencies: Vec<_> = classes.flat_map(|it| quantiles(it.n, &it.latency)).collect();
        family("latency_seconds", "summary", "Time of a request, by row and number.", &latencies);
        let verdict = format!("{{verdict=\"{}\"}}", self.grade.verdict);
        family("grade", "gauge", "How far the result can be believed.", &[(verdict, 1.0)]);
        text
    }

    /// All samples of all classes.
    pub(crate) fn samples(&self) -> Result<crate::load::Latencies, NotEncoded> {
        let decode = |class: &super::ClassReport| {
            class.histograms.as_ref().ok_or(NotEncoded)?.decode().map(Cow::Owned)
        };
        let classes = self.classes.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        Ok(sum(classes.into_iter()))
    }

    /// Each window, when it began, and how long it was: the last one may be a part of one.
    fn windows(&self) -> impl Iterator<Item = (Duration, Duration, &WindowReport)> {
        let length = Duration::from_secs_f64(self.timeline.window_s.max(0.0));
        let end = Duration::from_secs_f64(self.elapsed_s.max(0.0));
        self.timeline.windows.iter().enumerate().map(move |(at, window)| {
            let start = length * u32::try_from(at).unwrap_or(u32::MAX);
            (start, length.min(end.saturating_sub(start)), window)
        })
    }
}

fn quantiles(n: u64, rows: &Rows) -> Vec<(String, f64)> {
    let rows = [("lag", &rows.lag), ("service", &rows.service), ("response", &rows.response)];
    let of_row = |(row, latency): (&str, &Latency)| {
        let quantiles = ["0.5", "0.9", "0.99", "0.999", "0.9999"];
        let values = latency.percentiles().into_iter().zip(quantiles);
        let sample = |((_, nanos), quantile): ((&str, Option<u64>), &str)| {
            let labels = format!("{{row=\"{row}\",n=\"{n}\",quantile=\"{quantile}\"}}");
            Some((labels, to_f64(nanos?) / 1e9))
        };
        values.filter_map(sample).collect::<Vec<_>>()
    };
    rows.into_iter().flat_map(of_row).collect()
}
