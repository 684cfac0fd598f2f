//! Python, as the talk has it and as it is written today; the same programs under `PyPy`.

use anyhow::Result;

use super::{
    first_missing,
    peer::{Family, PORT, Peer},
};
use crate::tools::{PYPY, PYTHON, Tool, UVLOOP};

pub(super) fn pypy() -> Result<Vec<Peer>> {
    let missing = first_missing(&[PYPY])?;
    let server = |name, script| server(name, Family::PyPy, PYPY, script, &[]).without(missing);
    Ok(vec![
        server("PyPy, synchronous", "synchronous").one_at_a_time(),
        server("PyPy, threads", "threads").variation(),
        server("PyPy, asyncio", "asyncio_protocol").variation(),
    ])
}

pub(super) fn python() -> Result<Vec<Peer>> {
    let missing = first_missing(&[PYTHON])?;
    let server = |name, script, more: &[&str]| {
        server(name, Family::Python, PYTHON, script, more).without(missing)
    };
    let uvloop = if missing.is_some() { missing } else { missing_uvloop()? };
    Ok(vec![
        server("Python, synchronous", "synchronous", &[]).one_at_a_time(),
        server("Python, threads", "threads", &[]),
        server("Python, threads + processes", "threads_processes", &[]),
        server("Python, coroutines + processes", "coroutines", &[]),
        server("Python, asyncio", "asyncio_protocol", &[]),
        server("Python, asyncio + uvloop", "asyncio_protocol", &["uvloop"])
            .variation()
            .without(uvloop),
    ])
}

fn missing_uvloop() -> Result<Option<Tool>> {
    Ok((!UVLOOP.is_module_of(PYTHON)?).then_some(UVLOOP))
}

fn server(name: &str, family: Family, interpreter: Tool, script: &str, more: &[&str]) -> Peer {
    let script = format!("xtask/peers/python/{script}.py");
    let arguments = [&[&script, "127.0.0.1", PORT], more].concat();
    Peer::new(name, family, interpreter.program, &arguments)
}
