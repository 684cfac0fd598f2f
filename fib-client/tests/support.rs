//! Servers that do exactly what a test needs, each on a thread of its own.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use fib_proto::Address;

/// Serves every client with this function, on a thread each, for as long as the test runs.
pub(crate) fn serve(client: impl Fn(TcpStream) + Clone + Send + 'static) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let client = client.clone();
            thread::spawn(move || client(socket.unwrap()));
        }
    });
    Address::Tcp(address.to_string())
}

/// Answers every line with what this function makes of it, until the client leaves.
pub(crate) fn answer(reply: impl Fn(&str) -> String + Clone + Send + 'static) -> Address {
    serve(move |socket| {
        let mut writer = socket.try_clone().unwrap();
        for line in BufReader::new(socket).lines() {
            let Ok(line) = line else { return };
            if writer.write_all(reply(&line).as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// An honest server.
pub(crate) fn honest() -> Address {
    answer(|line| format!("{}\n", fib_core::exact(line.parse().unwrap())))
}
