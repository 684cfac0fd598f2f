//! Doubling of small numbers in base 10¹⁸, by products as one makes them by hand.

/// How many digits a word has.
pub(crate) const DIGITS: u32 = 18;

/// The base of a word.
pub(crate) const BASE: u64 = 10_u64.pow(DIGITS);

/// How many numbers of the largest length a [`Pair`] needs memory for.
pub(crate) const NUMBERS: usize = 4;

/// F(k) and F(k−1) in words, the least significant first.
#[derive(Debug)]
pub(crate) struct Pair<'a> {
    fib: &'a mut [u64],
    previous: &'a mut [u64],
    /// How many words both have, of their memory.
    len: usize,
    /// For what lies between one pair and the next.
    scratch: [&'a mut [u64]; 2],
}

impl<'a> Pair<'a> {
    /// In this memory, which has to have room for [`NUMBERS`] of the largest results there will
    /// be.
    pub(crate) fn new(memory: &'a mut [u64], fib: u128, previous: u128) -> Self {
        let (fibs, scratch) = memory.split_at_mut(memory.len() / 2);
        let halves = |memory: &'a mut [u64]| memory.split_at_mut(memory.len() / 2);
        let ((fibs, previouses), (a, b)) = (halves(fibs), halves(scratch));
        let mut pair = Self { fib: fibs, previous: previouses, len: 3, scratch: [a, b] };
        pair.fib[..3].copy_from_slice(&words(fib));
        pair.previous[..3].copy_from_slice(&words(previous));
        pair.trim();
        pair
    }

    pub(crate) fn fib(&self) -> &[u64] {
        &self.fib[..self.len]
    }

    pub(crate) fn previous(&self) -> &[u64] {
        &self.previous[..self.len]
    }

    /// Makes the pair at 2k, or at 2k + 1 for `odd`, of that at k.
    ///
    /// F(2k+1) = 4·F(k)² − F(k−1)² + 2·(−1)^k and F(2k−1) = F(k)² + F(k−1)².
    pub(crate) fn double(&mut self, k_is_odd: bool, odd: bool) {
        let Self { fib, previous, len, scratch: [a, b] } = self;
        let squares_len = 2 * *len;
        let (a, b) = (&mut a[..squares_len], &mut b[..squares_len]);
        square(&fib[..*len], a);
        square(&previous[..*len], b);
        *len = squares_len + 1;
        let (fib, previous) = (&mut fib[..*len], &mut previous[..*len]);
        let more = twice_sign(k_is_odd);
        if odd {
            combine(a, b, |a, b| 4 * a - b, more, fib);
            combine(a, b, |a, b| 3 * a - 2 * b, more, previous);
        } else {
            combine(a, b, |a, b| 3 * a - 2 * b, more, fib);
            combine(a, b, |a, b| a + b, 0, previous);
        }
        self.trim();
    }

    /// F(2k), or F(2k+1) for `odd`: one product, because no further step needs the neighbour.
    ///
    /// F(2k) = F(k)·(F(k) + 2·F(k−1)) and
    /// F(2k+1) = (2·F(k) + F(k−1))·(2·F(k) − F(k−1)) + 2·(−1)^k.
    pub(crate) fn double_last(self, k_is_odd: bool, odd: bool) -> &'a [u64] {
        let Self { fib, previous, len, scratch: [a, b] } = self;
        let (a, b) = (&mut a[..=len], &mut b[..=len]);
        let result = &mut *fib;
        if odd {
            combine(&result[..len], &previous[..len], |a, b| 2 * a + b, 0, a);
            combine(&result[..len], &previous[..len], |a, b| 2 * a - b, 0, b);
        } else {
            combine(&result[..len], &previous[..len], |a, _| a, 0, a);
            combine(&result[..len], &previous[..len], |a, b| a + 2 * b, 0, b);
        }
        let result = &mut result[..2 * len + 2];
        product(a, b, result);
        if odd {
            // No number of this size ends in 18 digits that are 0, 1, −1 or −2: nothing is carried.
            result[0] = result[0].strict_add_signed(twice_sign(k_is_odd));
        }
        result
    }

    fn trim(&mut self) {
        while self.len > 1 && self.fib[self.len - 1] == 0 {
            self.len -= 1;
        }
    }
}

/// 2·(−1)^k.
pub(crate) const fn twice_sign(k_is_odd: bool) -> i64 {
    if k_is_odd { -2 } else { 2 }
}

fn words(number: u128) -> [u64; 3] {
    let (rest, first) = divide(number);
    let (rest, second) = divide(rest);
    [first, second, divide(rest).1]
}

/// Of each word of two numbers a sum of a few multiples, with what they carry to the next, and with
/// `more`.
#[expect(clippy::cast_possible_wrap, reason = "a word is below the base")]
fn combine(a: &[u64], b: &[u64], f: impl Fn(i64, i64) -> i64, more: i64, words: &mut [u64]) {
    let mut carry = more;
    let (last, rest) = words.split_last_mut().expect("there is one for the last carry");
    for ((&a, &b), word) in a.iter().zip(b).zip(rest) {
        let number = f(a as i64, b as i64) + carry;
        carry = number.div_euclid(BASE as i64);
        *word = number.rem_euclid(BASE as i64).cast_unsigned();
    }
    *last = carry.cast_unsigned();
}

fn square(a: &[u64], words: &mut [u64]) {
    let sum = |column: usize| {
        let first = (column + 1).saturating_sub(a.len());
        let pairs = &a[first..=column - first];
        let (low, high) = pairs.split_at(pairs.len() / 2);
        let middle = if pairs.len() % 2 == 1 { wide(high[0], high[0]) } else { 0 };
        2 * dot(low, high) + middle
    };
    carry_through(sum, words);
}

fn product(a: &[u64], b: &[u64], words: &mut [u64]) {
    let sum = |column: usize| {
        let first = (column + 1).saturating_sub(b.len());
        let last = column.min(a.len() - 1);
        dot(&a[first..=last], &b[column - last..=column - first])
    };
    carry_through(sum, words);
}

/// The sum of the products of each number with that in the opposite place.
fn dot(a: &[u64], b: &[u64]) -> u128 {
    a.iter().zip(b.iter().rev()).map(|(&a, &b)| wide(a, b)).sum()
}

fn wide(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

/// The words of a number by sums, each in the next place in base 10¹⁸. There is none for the last
/// word.
fn carry_through(sum: impl Fn(usize) -> u128, words: &mut [u64]) {
    let (last, rest) = words.split_last_mut().expect("there is one for the last carry");
    let mut carry = 0;
    for (column, word) in rest.iter_mut().enumerate() {
        (carry, *word) = divide(sum(column) + carry);
    }
    (_, *last) = divide(carry);
}

/// The quotient and the rest by the base.
#[expect(clippy::cast_possible_truncation, reason = "each half of a double word")]
fn divide(number: u128) -> (u128, u64) {
    let (high, low) = ((number >> 64) as u64, number as u64);
    let (quotient, rest) = divide_low(high % BASE, low);
    (u128::from(high / BASE) << 64 | u128::from(quotient), rest)
}

/// The quotient and the rest of `high`·2⁶⁴ + `low` by the base, `high` being below it (N. Möller
/// and T. Granlund, "Improved division by invariant integers", 2011, algorithm 4).
#[expect(clippy::cast_possible_truncation, reason = "each half of a double word")]
const fn divide_low(high: u64, low: u64) -> (u64, u64) {
    const SHIFT: u32 = BASE.leading_zeros();
    const DIVISOR: u64 = BASE << SHIFT;
    const RECIPROCAL: u64 = (u128::MAX / DIVISOR as u128 - (1 << 64)) as u64;
    let number = (high as u128) << 64 | low as u128;
    let number = number << SHIFT;
    let guess = RECIPROCAL as u128 * (number >> 64) + number;
    let mut quotient = ((guess >> 64) as u64).wrapping_add(1);
    let mut rest = (number as u64).wrapping_sub(quotient.wrapping_mul(DIVISOR));
    if rest > guess as u64 {
        quotient = quotient.wrapping_sub(1);
        rest = rest.wrapping_add(DIVISOR);
    }
    if rest >= DIVISOR {
        quotient += 1;
        rest -= DIVISOR;
    }
    (quotient, rest >> SHIFT)
}
