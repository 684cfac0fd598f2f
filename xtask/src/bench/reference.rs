//! A load for servers that have no Fibonacci numbers: a line, over and over, by a minimal client in
//! C that does nothing but compare the replies. So it costs them less than ours costs our servers.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    bench::{found::Found, run::Span, scenario::Load},
    tools::to_f64,
};

/// Asks for so long, with the connections, the depth and the threads of the load.
pub(super) fn load(
    program: &Path,
    address: &str,
    line: &str,
    load: &Load,
    span: Span,
) -> Result<Found> {
    let (host, port) = address.rsplit_once(':').context("an address has a port")?;
    let shape = [load.connections, load.depth, load.threads].map(|count| count.to_string());
    let seconds = span.measured.as_secs_f64().to_string();
    let output = Command::new(program)
        .args([host, port])
        .args(shape)
        .args([&seconds, line])
        .output()
        .context("running the client of the reference servers")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "their client ended with {}: {told}", output.status);
    let words = String::from_utf8_lossy(&output.stdout);
    let (replies, elapsed_s) =
        numbers(&words).with_context(|| format!("their client said {words:?}"))?;
    Ok(Found {
        connections: load.connections,
        served: load.connections,
        elapsed_s,
        replies,
        rate_per_s: to_f64(replies) / elapsed_s,
        ..Found::default()
    })
}

/// Its last line: the replies, and the seconds in which they came.
fn numbers(words: &str) -> Option<(u64, f64)> {
    let (replies, seconds) = words.trim().lines().last()?.split_once(' ')?;
    let seconds: f64 = seconds.parse().ok()?;
    (seconds > 0.0).then_some((replies.parse().ok()?, seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_read() {
        assert_eq!(numbers("1000 0.5\n"), Some((1_000, 0.5)));
        assert_eq!(numbers("1000 0\n"), None);
        assert_eq!(numbers("no\n"), None);
    }
}
