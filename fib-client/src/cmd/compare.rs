//! `fib-client compare`: whether runs differ.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use fib_client::report::{Comparison, Demands, Side, compare};

use crate::{
    cli::{CompareArgs, FailOn},
    cmd::{self, output::write_to},
};

pub(crate) fn run(args: &CompareArgs) -> Result<ExitCode> {
    let sides: Vec<_> = args.sides.iter().map(|it| side(it)).collect::<Result<_>>()?;
    let demands = Demands { noise: args.noise, same_within: args.same_within };
    let comparison = compare(&sides, demands, args.force)?;
    write(&comparison, args)?;
    let is_worse = args.fail_on == Some(FailOn::Worse) && comparison.has_worse();
    Ok(if is_worse { ExitCode::from(cmd::EXIT_DEMAND) } else { ExitCode::SUCCESS })
}

/// All reports of a side: a file, a folder, or several with commas between them.
fn side(name: &str) -> Result<Side> {
    let mut files = Vec::new();
    for part in name.split(',').map(Path::new) {
        if part.is_dir() {
            files.extend(reports_in(part).with_context(|| part.display().to_string())?);
        } else {
            files.push(part.to_owned());
        }
    }
    let runs = files.iter().map(|file| cmd::read_report(file)).collect::<Result<_>>()?;
    Ok(Side { name: name.to_owned(), runs })
}

fn reports_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files: Vec<PathBuf> = entries.collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|it| it == "json"));
    files.sort();
    Ok(files)
}

fn write(comparison: &Comparison, args: &CompareArgs) -> Result<()> {
    let json = || Ok(serde_json::to_string_pretty(comparison)? + "\n");
    let forms: [(_, &dyn Fn() -> Result<String>); 3] = [
        (&args.json, &json),
        (&args.markdown, &|| Ok(comparison.to_markdown())),
        (&args.html, &|| Ok(comparison.to_html())),
    ];
    let mut is_stdout_taken = false;
    for (file, form) in forms {
        let Some(file) = file else { continue };
        is_stdout_taken |= file == Path::new("-");
        write_to(file, &form()?).with_context(|| format!("writing {}", file.display()))?;
    }
    if !is_stdout_taken {
        write!(io::stdout(), "{comparison}").context("writing to stdout")?;
    }
    Ok(())
}
