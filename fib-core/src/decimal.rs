//! F(n) for any n, as the decimal digits that a client reads.
//!
//! The type hides which engine made the digits, so that the engine can change behind it.

use core::fmt;

use alloc::string::{String, ToString};

use crate::{check, doubling, fib_u128, machine::Machine};

/// The decimal digits of one Fibonacci number.
///
/// # Examples
///
/// ```
/// let digits = fib_core::exact(1000);
/// assert_eq!(digits.len(), 209);
/// assert!(digits.as_str().starts_with("43466557686937456435"));
/// println!("F(1000) = {digits}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    digits: String,
}

/// F(n) exactly, for any n.
///
/// Time grows a little faster than n·log n and memory is a few times the answer, which has about
/// 0.209·n digits: 2 MB for n = 10⁷. A program that takes n from strangers must bound it.
///
/// # Panics
///
/// Where the answer would not fit the address space (n over about 10¹⁸ on 64-bit machines); long
/// before that the allocator aborts the process for want of memory.
///
/// # Examples
///
/// ```
/// assert_eq!(fib_core::exact(0).as_str(), "0");
/// assert_eq!(fib_core::exact(187).as_str(), "538522340430300790495419781092981030533");
/// ```
#[must_use]
pub fn exact(n: u64) -> Decimal {
    Decimal::new(Machine::with_one_thread(), n)
}

/// The same as [`exact`], with the threads of the current [Rayon](rayon) pool.
///
/// A few threads are worth it from about a million digits on. With two, a number of 20 million
/// digits takes a little more than half of the time.
///
/// # Panics
///
/// As [`exact`].
///
/// # Examples
///
/// ```
/// assert_eq!(fib_core::par_exact(1_000_000), fib_core::exact(1_000_000));
/// ```
#[cfg(feature = "rayon")]
#[must_use]
pub fn par_exact(n: u64) -> Decimal {
    Decimal::new(Machine::with_threads(), n)
}

impl Decimal {
    fn new(machine: Machine, n: u64) -> Self {
        let doubling = || doubling::digits(machine, n);
        Self { digits: fib_u128(n).map_or_else(doubling, |word| word.to_string()) }
    }

    /// Digits that somebody else computed; `None` if they are not those of F(n).
    ///
    /// It takes a small part of the time of [`exact`]: it compares the length, and a residue that
    /// every digit takes part in. One wrong digit is always found; of anything else that is wrong
    /// and as long, one in 2⁶¹ would pass.
    ///
    /// # Examples
    ///
    /// ```
    /// use fib_core::{Decimal, exact};
    /// let digits = String::from("354224848179261915075");
    /// assert_eq!(Decimal::verified(100, digits), Some(exact(100)));
    /// assert_eq!(Decimal::verified(100, String::from("354224848179261915076")), None);
    /// ```
    #[must_use]
    pub fn verified(n: u64, digits: String) -> Option<Self> {
        check::is_fib(n, &digits).then_some(Self { digits })
    }

    /// The digits, most significant first, without sign or leading zero.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.digits
    }

    /// How many digits there are: at least one, because zero is written `0`.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a number is never empty")]
    pub fn len(&self) -> usize {
        self.digits.len()
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad_integral(true, "", &self.digits)
    }
}

impl From<Decimal> for String {
    fn from(decimal: Decimal) -> Self {
        decimal.digits
    }
}
