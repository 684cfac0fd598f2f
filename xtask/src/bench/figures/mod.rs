//! `cargo xtask bench --figures`: what fib-server shall be able to do, each beside the number that
//! it must reach.
//!
//! A figure that is not reached is a result, not an error.

mod list;
mod metric;

use anyhow::Result;
use xshell::Shell;

use self::metric::Metric;
use crate::{
    bench::{
        Shown,
        plan::{Budget, Case, Effort, Plan, is_wanted},
        record::{Cell, Record},
        scenario::Scenario,
        sheet::{Place, Sheet, absences, circumstances},
        statistics::{Values, number},
        steal,
    },
    build::Programs,
    peers::{self, Peer},
};

const HEADER: [&str; 9] =
    ["figure", "measured", "of", "", "against", "", "ratio", "wanted", "held"];

const LEGEND: &str = "\
Medians of the repetitions, ± half their spread; the ratio is one of medians. Ours run
--algorithm recursive and, but for the flags that are named, as they come. ≥: too few replies
for that percentile; the next lower one that has enough stands in, which favours that side.";

/// A number of one server, perhaps beside that of another, and what is wanted of it.
#[derive(Clone, Copy, Debug)]
struct Figure {
    scenario: &'static Scenario,
    metric: Metric,
    side: Side,
    against: Option<Side>,
    /// Of the ratio of both sides; without another side, of the number itself.
    wanted: Relation,
}

/// Whose number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// `fib-server` with these flags.
    Ours(&'static str),
    C,
    Go,
    Redis,
}

/// The median of the repetitions, and how it is told.
#[derive(Debug)]
struct Number {
    median: Option<f64>,
    told: String,
}

#[derive(Clone, Copy, Debug)]
enum Relation {
    AtLeast(f64),
    AtMost(f64),
}

/// Each side of the wanted figures, and the scenarios in which it has one.
pub(super) fn plan(
    sh: &Shell,
    programs: &Programs,
    effort: Effort,
    only: &[String],
) -> Result<Plan> {
    let (mut sides, mut cases) = (Vec::new(), Vec::<Case>::new());
    for figure in wanted(only) {
        for side in figure.sides() {
            let peer = sides.iter().position(|it| *it == side).unwrap_or(sides.len());
            if peer == sides.len() {
                sides.push(side);
            }
            let case = Case { peer, scenario: figure.scenario };
            if !cases.contains(&case) {
                cases.push(case);
            }
        }
    }
    let peers = sides.into_iter().map(|side| side.peer(sh, programs)).collect::<Result<_>>()?;
    let budget = match effort {
        Effort::Smoke => Budget { repetitions: 1, seconds: 0.1, retries: 0 },
        Effort::Quick => Budget { repetitions: 3, seconds: 0.5, retries: 1 },
        Effort::Full => Budget { repetitions: 9, seconds: 2.0, retries: 3 },
    };
    Ok(Plan { peers, cases, excused: Vec::new(), budget })
}

/// A row for each wanted figure.
pub(super) fn show(record: &Record) -> Shown {
    let figures = wanted(&record.head.only);
    let sheet = Sheet {
        header: HEADER.map(str::to_owned).into(),
        rows: figures
            .map(|figure| figure.row(record).into_iter().map(Into::into).collect())
            .collect(),
        legend: format!("{}{LEGEND}", absences(&record.head.servers)),
    };
    sheet.print();
    let circumstances = circumstances(&record.head, &steal::told(record));
    let markdown = format!("{}\n{circumstances}\n", sheet.markdown());
    let (document, name) = ("docs/benchmarks.md", "figures".to_owned());
    Shown {
        documents: vec![("report.md", markdown.clone())],
        places: vec![Place { document, name, markdown }],
    }
}

fn wanted(only: &[String]) -> impl Iterator<Item = Figure> {
    list::all().into_iter().filter(|figure| is_wanted(figure.scenario.name, only))
}

impl Figure {
    const fn new(
        scenario: &'static Scenario,
        metric: Metric,
        side: Side,
        wanted: Relation,
    ) -> Self {
        Self { scenario, metric, side, against: None, wanted }
    }

    const fn against(self, other: Side) -> Self {
        Self { against: Some(other), ..self }
    }

    fn sides(&self) -> impl Iterator<Item = Side> + use<> {
        [Some(self.side), self.against].into_iter().flatten()
    }

    fn row(&self, record: &Record) -> Vec<String> {
        let ours = self.number(record, self.side, self.metric.of);
        let theirs = self.against.map(|other| self.theirs(record, other));
        let ratio = |theirs: &Number| Some(ours.median? / theirs.median?);
        let reached = theirs.as_ref().map_or(ours.median, ratio);
        let told = if theirs.is_some() { told_ratio } else { |it| number(it, 0) };
        let held = reached.map(|it| if self.wanted.holds(it) { "yes" } else { "NO" });
        let side = |side: Option<Side>| side.map_or_else(String::new, Side::name);
        vec![
            self.scenario.name.to_owned(),
            self.metric.name.to_owned(),
            self.side.name(),
            ours.told,
            side(self.against),
            theirs.as_ref().map_or_else(String::new, |it| it.told.clone()),
            theirs.and(reached).map_or_else(String::new, told_ratio),
            self.wanted.told(told),
            held.unwrap_or("n/a").to_owned(),
        ]
    }

    /// Of a side for which it is no disadvantage to be told by a lower percentile.
    fn theirs(&self, record: &Record, side: Side) -> Number {
        let exact = self.number(record, side, self.metric.of);
        if exact.median.is_some() {
            return exact;
        }
        let floor = self.number(record, side, self.metric.floor);
        let sign = if floor.median.is_some() { "≥ " } else { "" };
        Number { told: sign.to_owned() + &floor.told, ..floor }
    }

    fn number(&self, record: &Record, side: Side, of: fn(&Cell) -> Option<f64>) -> Number {
        let name = side.name();
        let values = Values::of(&record.cells(&name, self.scenario.name), of);
        let told = record.absence(&name).map_or_else(
            || values.told_with_spread(self.metric.decimals),
            |absence| absence.word().to_owned(),
        );
        Number { median: values.median(), told }
    }
}

impl Relation {
    fn holds(self, number: f64) -> bool {
        match self {
            Self::AtLeast(bound) => number >= bound,
            Self::AtMost(bound) => number <= bound,
        }
    }

    fn told(self, told: impl Fn(f64) -> String) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {}", told(bound)),
            Self::AtMost(bound) => format!("≤ {}", told(bound)),
        }
    }
}

/// Small ones as a fraction of one.
fn told_ratio(ratio: f64) -> String {
    if ratio > 0.0 && ratio <= 0.5 {
        format!("1/{}", number(1.0 / ratio, 1).trim_end_matches(".0"))
    } else {
        number(ratio, 2).trim_end_matches(".00").to_owned()
    }
}

impl Side {
    fn name(self) -> String {
        match self {
            Self::Ours(flags) => format!("fib-server {flags}").trim_end().to_owned(),
            Self::C => peers::C_THREADS.to_owned(),
            Self::Go => peers::GOROUTINES.to_owned(),
            Self::Redis => peers::REDIS_PING.to_owned(),
        }
    }

    fn peer(self, sh: &Shell, programs: &Programs) -> Result<Peer> {
        let peer = match self {
            Self::Ours(flags) => {
                let flags: Vec<_> = flags.split_whitespace().collect();
                Ok(peers::fib_server(programs, &self.name(), &flags))
            }
            Self::C => peers::c_threads(sh),
            Self::Go => peers::goroutines(sh),
            Self::Redis => peers::redis(sh),
        };
        Ok(peer?.named(&self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_told_as_people_say_them() {
        let told = [0.0, 0.005, 0.23, 0.5, 0.9, 1.0, 12.3].map(told_ratio);
        assert_eq!(told, ["0", "1/200", "1/4.3", "1/2", "0.90", "1", "12.30"]);
    }

    #[test]
    fn relations_hold_at_their_bound() {
        let (least, most) = (Relation::AtLeast(2.0), Relation::AtMost(2.0));
        assert_eq!([1.9, 2.0, 2.1].map(|it| least.holds(it)), [false, true, true]);
        assert_eq!([1.9, 2.0, 2.1].map(|it| most.holds(it)), [true, true, false]);
    }
}
