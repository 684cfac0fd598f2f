//! The engine of [`exact`](crate::exact): fast doubling over big integers.
//!
//! It is the only file that knows the bignum library, and `digits` its only door.

use dashu_int::UBig;

use crate::{MAX_N_U128, fib_u128};

/// The decimal digits of F(n).
///
/// Each step doubles k with two squarings, and the last one needs only a product: the scheme of
/// GMP ("Fibonacci Numbers" in the algorithms chapter of its manual).
pub(crate) fn digits(n: u64) -> String {
    number(n).to_string()
}

fn number(n: u64) -> UBig {
    let mut steps = steps_above_table(n);
    let mut pair = Pair::from_table(n >> steps);
    while steps > 1 {
        steps -= 1;
        pair = pair.double(n >> steps & 1 == 1);
    }
    if steps == 1 { pair.double_last(n & 1 == 1) } else { pair.fib }
}

/// How often n must be halved until the table of machine words knows it.
fn steps_above_table(n: u64) -> u32 {
    (0..u64::BITS).find(|&steps| n >> steps <= MAX_N_U128).unwrap_or(u64::BITS)
}

/// F(k) and F(k−1).
struct Pair {
    fib: UBig,
    previous: UBig,
    k_is_odd: bool,
}

impl Pair {
    fn from_table(k: u64) -> Self {
        let word = |k| UBig::from(fib_u128(k).unwrap_or_default());
        // F(−1) = 1 keeps the recurrence: F(1) = F(0) + F(−1).
        let previous = if k == 0 { UBig::ONE } else { word(k - 1) };
        Self { fib: word(k), previous, k_is_odd: k % 2 == 1 }
    }

    /// The pair at 2k, or at 2k + 1 for `odd`.
    ///
    /// F(2k+1) = 4·F(k)² − F(k−1)² + 2·(−1)^k and F(2k−1) = F(k)² + F(k−1)².
    fn double(self, odd: bool) -> Self {
        let square = self.fib.sqr();
        let previous_square = self.previous.sqr();
        let above = plus_twice_sign((&square << 2) - &previous_square, self.k_is_odd);
        let below = square + previous_square;
        let middle = &above - &below;
        if odd {
            Self { fib: above, previous: middle, k_is_odd: true }
        } else {
            Self { fib: middle, previous: below, k_is_odd: false }
        }
    }

    /// F(2k), or F(2k+1) for `odd`: one product, because no further step needs the neighbour.
    ///
    /// F(2k) = F(k)·(F(k) + 2·F(k−1)) and
    /// F(2k+1) = (2·F(k) + F(k−1))·(2·F(k) − F(k−1)) + 2·(−1)^k.
    fn double_last(self, odd: bool) -> UBig {
        let Self { fib, previous, k_is_odd } = self;
        if odd {
            let twice = fib << 1;
            plus_twice_sign((&twice + &previous) * (twice - previous), k_is_odd)
        } else {
            &fib * (&fib + (previous << 1))
        }
    }
}

/// `value` + 2·(−1)^k.
fn plus_twice_sign(value: UBig, k_is_odd: bool) -> UBig {
    if k_is_odd { value - 2u8 } else { value + 2u8 }
}
