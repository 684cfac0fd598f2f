//! What a load's outcome says: as a document for programs, and in words for people.

mod document;
mod text;

pub use document::{ClassReport, Connections, FailureReport, Latency, Report, SCHEMA_VERSION};
