//! `fib-client merge`: adds up the reports of clients that loaded a server together.

use std::process::ExitCode;

use anyhow::{Context, Result};
use fib_client::report::{Decision, Histograms, merge};

use crate::{
    cli::MergeArgs,
    cmd::{self, output},
};

pub(crate) fn run(args: &MergeArgs) -> Result<ExitCode> {
    let reports: Vec<_> =
        args.reports.iter().map(|file| cmd::read_report(file)).collect::<Result<_>>()?;
    let mut merged = merge(&reports)?;
    let decoded = merged.classes.iter().filter_map(|class| class.histograms.as_ref());
    let classes: Vec<_> = decoded.map(Histograms::decode).collect::<Result<_, _>>()?;
    let judge = |it: &fib_client::report::Threshold| it.judge(&merged, &classes);
    merged.thresholds = args.threshold.iter().map(judge).collect();
    let mut people = output::people(&args.files);
    output::write(&merged, &args.files, &mut *people).context("writing the sum")?;
    let failed = merged.thresholds.iter().any(|it| it.decision == Decision::Fail);
    Ok(if failed { ExitCode::from(cmd::EXIT_DEMAND) } else { ExitCode::SUCCESS })
}
