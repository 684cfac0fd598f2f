//! What the codec promises: exact bytes, no matter how they arrive, and no allocation on the way.

mod allocations;
mod chunks;
mod effort;
mod golden;
mod language;
mod model;
mod stream;
