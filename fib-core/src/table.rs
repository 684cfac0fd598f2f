//! F(n) where it fits a machine word: computed by the compiler, because a lookup cannot be beaten.

/// The largest n whose F(n) fits a `u64`.
pub const MAX_N_U64: u64 = 93;

/// The largest n whose F(n) fits a `u128`.
pub const MAX_N_U128: u64 = 186;

/// F(n) as a `u64`, or `None` for n over [`MAX_N_U64`].
///
/// # Examples
///
/// ```
/// assert_eq!(fib_core::fib(10), Some(55));
/// assert_eq!(fib_core::fib(94), None);
///
/// const BUFFER_LEN: u64 = fib_core::fib(20).unwrap();
/// assert_eq!(BUFFER_LEN, 6765);
/// ```
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both casts follow the comparison")]
pub const fn fib(n: u64) -> Option<u64> {
    if n <= MAX_N_U64 { Some(TABLE_U64[n as usize]) } else { None }
}

/// F(n) as a `u128`, or `None` for n over [`MAX_N_U128`].
///
/// # Examples
///
/// ```
/// assert_eq!(fib_core::fib_u128(100), Some(354_224_848_179_261_915_075));
/// assert_eq!(fib_core::fib_u128(187), None);
/// ```
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the cast follows the comparison")]
pub const fn fib_u128(n: u64) -> Option<u128> {
    if n <= MAX_N_U128 { Some(TABLE_U128[n as usize]) } else { None }
}

const LEN_U64: usize = 94;
const LEN_U128: usize = 187;

/// Its own table, half as wide: the server's common answers stay within 12 cache lines.
const TABLE_U64: [u64; LEN_U64] = narrow();
const TABLE_U128: [u128; LEN_U128] = wide();

const fn wide() -> [u128; LEN_U128] {
    let mut table = [0; LEN_U128];
    table[1] = 1;
    let mut n = 2;
    while n < LEN_U128 {
        table[n] = table[n - 1] + table[n - 2];
        n += 1;
    }
    table
}

#[expect(clippy::cast_possible_truncation, reason = "F(93) < 2^64, and F(94) is not read")]
const fn narrow() -> [u64; LEN_U64] {
    let wide = wide();
    let mut table = [0; LEN_U64];
    let mut n = 0;
    while n < LEN_U64 {
        table[n] = wide[n] as u64;
        n += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_end_where_the_words_do() {
        let last = fib(MAX_N_U64).unwrap();
        assert_eq!(last, 12_200_160_415_121_876_738);
        assert!(last.checked_add(fib(MAX_N_U64 - 1).unwrap()).is_none());
        let last = fib_u128(MAX_N_U128).unwrap();
        assert!(last.checked_add(fib_u128(MAX_N_U128 - 1).unwrap()).is_none());
        assert_eq!((fib(MAX_N_U64 + 1), fib_u128(MAX_N_U128 + 1)), (None, None));
        assert_eq!((fib(u64::MAX), fib_u128(u64::MAX)), (None, None));
    }
}
