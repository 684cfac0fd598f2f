//! Fibonacci numbers, and CPU-bound work of an exactly known cost.
//!
//! The same numbers come from three places, because they answer different questions:
//!
//! | the question | the function | time |
//! |---|---|---|
//! | which number is F(n)? (n ≤ 93, n ≤ 186) | [`fib`], [`fib_u128`] | a lookup, also in `const` |
//! | which number is F(n), for any n? | [`exact`], `par_exact` | fast doubling, in decimal |
//! | are these digits F(n)? | [`Decimal::verified`], [`decimal_len`] | a few ms for 10⁶ digits |
//! | how long does the CPU need for it? | [`recursive`], [`cost`] | 2·F(n)−1 calls, each one made |
//!
//! [`Recursion`] is the last one as work in progress, for a scheduler: run it for a while, put it
//! aside, give half of it away.
//!
//! Everywhere F(0) = 0 and F(1) = F(2) = 1 ([OEIS A000045](https://oeis.org/A000045)).
//!
//! # Example
//!
//! ```
//! # fn main() -> Result<(), &'static str> {
//! let n = 30;
//! let answer = fib_core::fib(n).ok_or("over 93")?;
//! assert_eq!(answer, 832_040);
//! assert_eq!(fib_core::recursive(n), Some(answer));
//! assert_eq!(fib_core::exact(n).as_str(), answer.to_string());
//! # Ok(())
//! # }
//! ```

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[forbid(unsafe_code)]
mod check;
#[forbid(unsafe_code)]
mod decimal;
#[forbid(unsafe_code)]
mod digits;
#[forbid(unsafe_code)]
mod doubling;
#[forbid(unsafe_code)]
mod machine;
#[forbid(unsafe_code)]
mod ntt;
#[forbid(unsafe_code)]
mod recursion;
#[forbid(unsafe_code)]
mod recursive;
mod simd;
#[forbid(unsafe_code)]
mod table;
#[forbid(unsafe_code)]
mod words;

pub use check::decimal_len;
#[cfg(feature = "rayon")]
pub use decimal::par_exact;
pub use decimal::{Decimal, exact};
pub use recursion::Recursion;
pub use recursive::{MAX_N_RECURSIVE, cost, recursive};
pub use table::{MAX_N_U64, MAX_N_U128, fib, fib_u128};
