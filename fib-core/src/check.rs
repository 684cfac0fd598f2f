//! Digits that somebody else computed: whether they are F(n)'s, for much less than computing them.
//!
//! The length is exact, and every digit takes part in a residue modulo a prime: no digit can
//! change alone, and of digits that are wrong in any other way, one set in 2⁶¹ would pass.

/// A Mersenne prime: large, and cheap to divide by.
const PRIME: u64 = (1 << 61) - 1;

/// So many digits, and their power of ten, fit a word.
const CHUNK_DIGITS: usize = 18;

/// log₁₀ φ · 2¹²⁸, φ being the golden ratio: what one more step adds to the length of F(n).
const LOG_PHI: u128 = 71_114_808_881_484_351_271_343_921_242_603_624_949;

/// log₁₀ √5 · 2¹²⁸, because F(n) is φⁿ/√5, rounded.
const LOG_SQRT_5: u128 = 118_923_583_741_099_549_856_681_249_090_832_489_377;

/// How many decimal digits F(n) has.
///
/// # Examples
///
/// ```
/// assert_eq!(fib_core::decimal_len(0), 1);
/// assert_eq!(fib_core::decimal_len(1_000_000), 208_988);
/// ```
#[must_use]
pub const fn decimal_len(n: u64) -> u64 {
    let n = n as u128;
    let low = n * (LOG_PHI & u64::MAX as u128);
    let high = n * (LOG_PHI >> 64) + (low >> 64);
    let (whole, fraction) = ((high >> 64) as u64, high << 64 | low & u64::MAX as u128);
    let len = whole + (fraction >= LOG_SQRT_5) as u64;
    if len == 0 { 1 } else { len }
}

/// Whether these are the decimal digits of F(n).
pub(crate) fn is_fib(n: u64, digits: &str) -> bool {
    digits.len() as u64 == decimal_len(n)
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && residue(digits.as_bytes()) == fib_residue(n)
}

/// The number modulo [`PRIME`].
fn residue(digits: &[u8]) -> u64 {
    digits.chunks(CHUNK_DIGITS).fold(0, |sum, chunk| {
        let value = |value, &digit| value * 10 + u64::from(digit - b'0');
        let shifted = product(sum, 10_u64.pow(u32::try_from(chunk.len()).unwrap_or_default()));
        (shifted + chunk.iter().fold(0, value) % PRIME) % PRIME
    })
}

/// F(n) modulo [`PRIME`], by fast doubling.
fn fib_residue(n: u64) -> u64 {
    // F(k) and F(k+1), for the k that the bits of n so far make.
    let (mut fib, mut next) = (0, 1);
    for bit in (0..u64::BITS - n.leading_zeros()).rev() {
        let twice_next_less_fib = (2 * next + (PRIME - fib)) % PRIME;
        let even = product(fib, twice_next_less_fib);
        let odd = (product(fib, fib) + product(next, next)) % PRIME;
        (fib, next) = if n >> bit & 1 == 0 { (even, odd) } else { (odd, (even + odd) % PRIME) };
    }
    fib
}

#[expect(clippy::cast_possible_truncation, reason = "it is less than the prime, a word")]
fn product(a: u64, b: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(PRIME)) as u64
}
