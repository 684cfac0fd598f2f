//! Where a server listens, as people type it: `HOST:PORT` or `unix:PATH`.

use std::{fmt, path::PathBuf, str::FromStr};

use thiserror::Error;

/// A place to listen on or to connect to.
///
/// # Examples
///
/// ```
/// use fib_proto::Address;
///
/// # fn main() -> Result<(), fib_proto::AddressError> {
/// let tcp: Address = "127.0.0.1:25000".parse()?;
/// assert_eq!(tcp, Address::Tcp("127.0.0.1:25000".into()));
/// let unix: Address = "unix:/run/fib.sock".parse()?;
/// assert_eq!(unix.to_string(), "unix:/run/fib.sock");
/// assert!("25000".parse::<Address>().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `HOST:PORT`; the host may be a name, an IPv4 address or a bracketed IPv6 address.
    Tcp(String),
    /// `unix:PATH`.
    Unix(PathBuf),
}

/// The text is neither `HOST:PORT` nor `unix:PATH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected HOST:PORT, as in 127.0.0.1:25000, or unix:PATH")]
pub struct AddressError;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(AddressError) } else { Ok(Self::Unix(path.into())) };
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError)?;
        if host.is_empty() || port.parse::<u16>().is_err() {
            return Err(AddressError);
        }
        Ok(Self::Tcp(text.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host_and_port) => f.write_str(host_and_port),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
