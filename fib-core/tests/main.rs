//! What the numbers promise, checked against each other and against known values.

mod known_values;
mod properties;
