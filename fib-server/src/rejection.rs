//! Why a client is not served: what that is called, and what the client is told.

use fib_proto::{ErrorCode, encode_error};

use crate::connection::ConnectionLimits;

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Rejection {
    /// There are `--max-connections`.
    Busy,
    /// The process, or the system, may open no more files.
    NoDescriptor,
}

impl Rejection {
    pub(crate) const ALL: [Self; 2] = [Self::Busy, Self::NoDescriptor];

    /// What it is called for who watches.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::NoDescriptor => "descriptors",
        }
    }

    /// Whether its socket may stay open until the client has read its line.
    pub(crate) const fn can_wait(self) -> bool {
        !matches!(self, Self::NoDescriptor)
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
            Self::NoDescriptor => {
                let text = "the server may open no more files; ulimit -n raises the limit";
                (ErrorCode::Busy, text.to_owned())
            }
        };
        let mut line = Vec::new();
        encode_error(code, &text, &mut line);
        line
    }
}
