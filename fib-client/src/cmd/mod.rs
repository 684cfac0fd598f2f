//! The verbs of the command line, one file each.

pub(crate) mod get;
pub(crate) mod perf;

#[expect(clippy::print_stderr, reason = "this is where a command's failure is told")]
pub(crate) fn complain(error: &anyhow::Error) {
    eprintln!("fib-client: {error:#}");
}
