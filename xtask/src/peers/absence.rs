//! Why a server cannot take part: a row that says so is never left out in silence.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::tools::Tool;

/// Why a server cannot take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Absence {
    /// The machine lacks a program.
    Missing { program: String, install: String },
    /// The server does not accept its flags.
    Refused { reason: String },
}

impl Absence {
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Refused { .. } => "refused",
        }
    }
}

impl From<Tool> for Absence {
    fn from(Tool { program, install }: Tool) -> Self {
        Self::Missing { program: program.to_owned(), install: install.to_owned() }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { program, install } => write!(f, "{program} is missing; {install}"),
            Self::Refused { reason } => write!(f, "refused: {reason}"),
        }
    }
}
