//! The engine of [`exact`](crate::exact): fast doubling in decimal.
//!
//! Each step doubles k with two squares, and the last one needs only a product: the scheme of GMP
//! ("Fibonacci Numbers" in the algorithms chapter of its manual). Numbers are in bases that are
//! powers of ten, so their digits are there when the last carry is; small ones as [`words`], large
//! ones as limbs of [`ntt`].

use alloc::{string::String, vec, vec::Vec};

use crate::{
    MAX_N_U128, decimal_len, digits, fib_u128,
    machine::Machine,
    ntt,
    simd::{ROW, Row},
    words,
};

/// From so many words on, products are transformed: less than the 340 products that fit a sum.
const WORDS_MAX: usize = 128;

/// So many words need no memory but that of their function.
const FEW_WORDS: usize = 24;

/// The decimal digits of F(n).
pub(crate) fn digits(machine: Machine, n: u64) -> String {
    let len = usize::try_from(decimal_len(n)).expect("it fits the address space");
    // A step has a word more than its result, and so has each factor of the last.
    let words = (len / words::DIGITS as usize + 4).min(2 * WORDS_MAX + 4);
    if words <= FEW_WORDS {
        by_words(machine, n, &mut [0; words::NUMBERS * FEW_WORDS])
    } else {
        by_words(machine, n, &mut vec![0; words::NUMBERS * words])
    }
}

fn by_words(machine: Machine, n: u64, memory: &mut [u64]) -> String {
    let mut steps = steps_above_table(n);
    let fib = |k| fib_u128(k).unwrap_or_default();
    // F(−1) = 1 keeps the recurrence: F(1) = F(0) + F(−1).
    let k = n >> steps;
    let mut pair = words::Pair::new(memory, fib(k), if k == 0 { 1 } else { fib(k - 1) });
    while steps > 1 && pair.fib().len() <= WORDS_MAX {
        let k_is_odd = n >> steps & 1 == 1;
        steps -= 1;
        pair.double(k_is_odd, n >> steps & 1 == 1);
    }
    if steps == 0 {
        digits::of_words(machine, pair.fib())
    } else if pair.fib().len() <= WORDS_MAX {
        digits::of_words(machine, pair.double_last(n >> 1 & 1 == 1, n & 1 == 1))
    } else {
        digits::of_rows(machine, &by_transforms(machine, n, steps, &pair))
    }
}

/// The limbs of F(n), from the pair that is so many steps below.
fn by_transforms(machine: Machine, n: u64, mut steps: u32, pair: &words::Pair<'_>) -> Vec<Row> {
    let mut pair = ntt::Pair { fib: rows(pair.fib()), previous: rows(pair.previous()) };
    let len = usize::try_from(decimal_len(n)).expect("it fits the address space");
    let limbs = len.div_ceil(digits::LIMB_DIGITS) + 4;
    let mut doubler = ntt::Doubler::new(machine, limbs);
    while steps > 1 {
        let k_is_odd = n >> steps & 1 == 1;
        steps -= 1;
        doubler.double(&mut pair, k_is_odd, n >> steps & 1 == 1);
    }
    doubler.double_last(pair, n >> 1 & 1 == 1, n & 1 == 1)
}

/// How often n must be halved until the table of machine words knows it.
fn steps_above_table(n: u64) -> u32 {
    (0..u64::BITS).find(|&steps| n >> steps <= MAX_N_U128).unwrap_or(u64::BITS)
}

fn rows(words: &[u64]) -> Vec<Row> {
    let limbs: Vec<u32> = words.iter().copied().flat_map(digits::limbs).collect();
    let row = |limbs: &[u32]| {
        let mut row = Row::default();
        row.0[..limbs.len()].copy_from_slice(limbs);
        row
    };
    limbs.chunks(ROW).map(row).collect()
}
