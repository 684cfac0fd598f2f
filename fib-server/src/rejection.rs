//! Why a client is not served: what that is called, and what the client is told.

use fib_proto::{ErrorCode, encode_error};

use crate::connection::ConnectionLimits;

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Rejection {
    /// There are `--max-connections`.
    Busy,
}

impl Rejection {
    pub(crate) const ALL: [Self; 1] = [Self::Busy];

    /// What it is called for who watches.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Busy => "busy",
        }
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
        };
        let mut line = Vec::new();
        encode_error(code, &text, &mut line);
        line
    }
}
