//! Why a client is not served: what that is called, and what the client is told.

use std::num::NonZeroU64;

use fib_proto::{ErrorCode, encode_error};

use crate::connection::ConnectionLimits;

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Rejection {
    /// There are `--max-connections`.
    Busy,
    /// There are `--max-per-address` from where it comes.
    BusyForAddress,
    /// The process, or the system, may open no more files.
    NoDescriptor,
    /// It comes from where `--allow`, or from whom `--allow-user`, lets nobody in.
    NotAllowed,
    /// A proxy of `--trust-proxy` does not say for whom it speaks.
    ProxyHeader,
}

impl Rejection {
    pub(crate) const ALL: [Self; 5] =
        [Self::Busy, Self::BusyForAddress, Self::NoDescriptor, Self::NotAllowed, Self::ProxyHeader];

    /// What it is called for who watches.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::BusyForAddress => "address",
            Self::NoDescriptor => "descriptors",
            Self::NotAllowed => "not-allowed",
            Self::ProxyHeader => "proxy-header",
        }
    }

    /// Whether its socket may stay open until the client has read its line.
    pub(crate) const fn can_wait(self) -> bool {
        matches!(self, Self::Busy | Self::BusyForAddress)
    }

    /// The last line that the client gets; empty for one that gets none.
    pub(crate) fn line(self, limits: &ConnectionLimits) -> Vec<u8> {
        let (code, text) = match self {
            Self::Busy => {
                let max = limits.max_connections;
                let text =
                    format!("{max} clients are connected; --max-connections raises the limit");
                (ErrorCode::Busy, text)
            }
            Self::BusyForAddress => {
                let max = limits.max_per_address.map_or(0, NonZeroU64::get);
                let text = format!(
                    "{max} clients of your address are connected; --max-per-address limits them"
                );
                (ErrorCode::Busy, text)
            }
            Self::NoDescriptor => {
                let text = "the server may open no more files; ulimit -n raises the limit";
                (ErrorCode::Busy, text.to_owned())
            }
            Self::NotAllowed | Self::ProxyHeader => return Vec::new(),
        };
        let mut line = Vec::new();
        encode_error(code, &text, &mut line);
        line
    }
}
