//! Asks a Fibonacci server, and loads it.
//!
//! [`Connection`] is a client as a program uses it: it asks, pipelines, and gives up in time.
//! [`load`] makes many requests and measures their replies; [`report`] tells what they say;
//! [`study`] answers questions that take several loads. [`host`] tells what else the machine did.
//! [`page`] is what its reports are made of for a browser.
//!
//! # Example
//!
//! ```no_run
//! use fib_client::{Connection, Options};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut server = Connection::open(&"127.0.0.1:25000".parse()?, Options::default())?;
//! assert_eq!(server.ask(30)?, "832040");
//! for answer in server.pipeline(&[1, 2, 3]) {
//!     println!("{}", answer?);
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod connection;
mod dial;
pub mod host;
pub mod load;
pub mod page;
pub mod report;
pub mod study;
mod tls;
mod wire;

pub use connection::{ClientError, Connection, Options};
pub use tls::{Tls, TlsError, TlsOptions};
