//! From the residues of a product's coefficients to its limbs.
//!
//! Three residues are a coefficient's digits in the mixed radix p₁, p₁·p₂ (H. L. Garner, "The
//! residue number system", 1959), and those are summed up in base 10⁹, with a carry from one to
//! the next.

use super::field::{Factor, Factors, Field, PRIMES};
use crate::{
    machine::Machine,
    simd::{ROW, Row, Simd, Task},
};

/// The base of a limb.
pub(crate) const BASE: u64 = 1_000_000_000;

/// How many rows are written at a time.
const PART_LEN: usize = 1024;

const P1_INVERSE_MOD_P2: Factor = PRIMES[1].factor(PRIMES[1].invert(PRIMES[0].p));
const P1_INVERSE_MOD_P3: Factor = PRIMES[2].factor(PRIMES[2].invert(PRIMES[0].p));
const P2_INVERSE_MOD_P3: Factor = PRIMES[2].factor(PRIMES[2].invert(PRIMES[1].p));

/// p₁·p₂ in base 10⁹.
#[expect(clippy::cast_possible_truncation, reason = "digits of the base are")]
const P1_P2: [u32; 2] = {
    let product = PRIMES[0].p as u64 * PRIMES[1].p as u64;
    [(product % BASE) as u32, (product / BASE) as u32]
};

/// Coefficients by their residues, each below 2p and to be multiplied by a factor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Residues<'a> {
    pub(super) rows: [&'a [Row]; 3],
    pub(super) factors: [Factor; 3],
    /// What is to be added to each coefficient, so that none is negative: so many times the
    /// largest digit. All of these together are this number in the place after the last, and less
    /// by this number in the first.
    pub(super) offset: u64,
}

impl Residues<'_> {
    /// Writes the limbs of the number whose digits these are, and to which `more` is added.
    pub(super) fn write(self, machine: Machine, limbs: &mut [Row], more: i64) {
        let carry = self.write_part(machine, limbs, self.offset.strict_add_signed(more));
        debug_assert_eq!(carry, self.offset, "the number fits its limbs");
    }

    /// The same for a part of the digits, to which `carry` comes from those before; the carry to
    /// those behind.
    fn write_part(self, machine: Machine, limbs: &mut [Row], carry: u64) -> u64 {
        if limbs.len() <= PART_LEN {
            return machine.run(Write { residues: self, limbs, carry });
        }
        let [low, high] = self.split_at(limbs.len() / 2);
        let (low_limbs, high_limbs) = limbs.split_at_mut(limbs.len() / 2);
        let (carry, over) = machine.join(
            2 * low_limbs.len(),
            || low.write_part(machine, low_limbs, carry),
            || high.write_part(machine, high_limbs, 0),
        );
        over + add(high_limbs, carry)
    }

    fn split_at(self, len: usize) -> [Self; 2] {
        let parts = self.rows.map(|rows| rows.split_at(len));
        [
            Self { rows: parts.map(|(low, _)| low), ..self },
            Self { rows: parts.map(|(_, high)| high), ..self },
        ]
    }
}

/// Adds a number to limbs; what does not fit.
fn add(limbs: &mut [Row], mut carry: u64) -> u64 {
    for limb in limbs.iter_mut().flat_map(|row| &mut row.0) {
        if carry == 0 {
            break;
        }
        carry = carry_through(limb, u64::from(*limb) + carry);
    }
    carry
}

/// Sets a limb to what a number leaves in its place; what it carries to the next.
#[inline(always)]
fn carry_through(limb: &mut u32, number: u64) -> u64 {
    *limb = (number % BASE) as u32;
    number / BASE
}

/// Two chains of carries at once, of the first half and of the second: each carry waits for the
/// one before, and a processor has time for another chain meanwhile.
struct Write<'a> {
    residues: Residues<'a>,
    limbs: &'a mut [Row],
    carry: u64,
}

impl Task for Write<'_> {
    type Output = u64;

    #[inline(always)]
    fn run(self, simd: impl Simd) -> u64 {
        let Self { residues, limbs, carry } = self;
        let garner = Garner::new(simd, residues.factors, residues.offset);
        let half = limbs.len() / 2;
        let (first, second) = limbs.split_at_mut(half);
        let (mut low, mut high) = (Chain::new(carry), Chain::new(0));
        for (at, (first, second)) in first.iter_mut().zip(&mut *second).enumerate() {
            low.sum_up(&garner, residues.rows, at);
            high.sum_up(&garner, residues.rows, half + at);
            for pair in 0..ROW / 2 {
                low.carry_through(first, pair);
                high.carry_through(second, pair);
            }
        }
        if let Some(last) = second.get_mut(half) {
            high.sum_up(&garner, residues.rows, 2 * half);
            (0..ROW / 2).for_each(|pair| high.carry_through(last, pair));
        }
        high.end() + add(second, low.end())
    }
}

/// A chain of carries.
struct Chain {
    /// The third digits, behind the last of the row before: they count for the next place, too.
    thirds: [u32; 2 * ROW],
    /// What counts for each place of a row.
    even: [u64; ROW / 2],
    odd: [u64; ROW / 2],
    carry: u64,
}

impl Chain {
    #[inline(always)]
    fn new(carry: u64) -> Self {
        Self { thirds: [0; 2 * ROW], even: [0; ROW / 2], odd: [0; ROW / 2], carry }
    }

    #[inline(always)]
    fn sum_up<S: Simd>(&mut self, garner: &Garner<S>, residues: [&[Row]; 3], row: usize) {
        let Self { thirds, even, odd, .. } = self;
        let digits = garner.digits(residues.map(|rows| garner.simd.load(&rows[row].0)));
        garner.sum_up(digits, thirds, even, odd);
    }

    #[inline(always)]
    fn carry_through(&mut self, limbs: &mut Row, pair: usize) {
        let Self { even, odd, carry, .. } = self;
        *carry = carry_through(&mut limbs.0[2 * pair], even[pair] + *carry);
        *carry = carry_through(&mut limbs.0[2 * pair + 1], odd[pair] + *carry);
    }

    /// What is left for the places after the last.
    #[inline(always)]
    fn end(self) -> u64 {
        self.carry + u64::from(self.thirds[2 * ROW - 1]) * u64::from(P1_P2[1])
    }
}

/// Residues modulo the three primes, as numbers.
struct Garner<S: Simd> {
    simd: S,
    fields: [Field<S>; 3],
    factors: [Factors<S>; 3],
    offsets: [S::Lanes; 3],
    /// The inverse of the first prime modulo each of the others, and of the second.
    inverses: [Factors<S>; 3],
}

impl<S: Simd> Garner<S> {
    #[inline(always)]
    fn new(simd: S, factors: [Factor; 3], offset: u64) -> Self {
        let fields = PRIMES.map(|prime| Field::new(simd, prime));
        let splat = |prime: usize, factor| fields[prime].splat(factor);
        let [f1, f2, f3] = factors;
        let offsets = PRIMES.map(|prime| simd.splat(prime.residue(offset, BASE - 1)));
        Self {
            simd,
            fields,
            factors: [splat(0, f1), splat(1, f2), splat(2, f3)],
            offsets,
            inverses: [
                splat(1, P1_INVERSE_MOD_P2),
                splat(2, P1_INVERSE_MOD_P3),
                splat(2, P2_INVERSE_MOD_P3),
            ],
        }
    }

    /// Of residues, the digits d₁ + d₂·p₁ + d₃·p₁·p₂, each below its prime.
    #[inline(always)]
    fn digits(&self, residues: [S::Lanes; 3]) -> [S::Lanes; 3] {
        let [_, f2, f3] = self.fields;
        let d1 = self.residue(0, residues);
        let (r2, r3) = (self.residue(1, residues), self.residue(2, residues));
        // The larger the prime the later, so no digit is above the next prime.
        let d2 = f2.finish(f2.scale(f2.sub(r2, d1), self.inverses[0]));
        let rest = f3.finish(f3.scale(f3.sub(r3, d1), self.inverses[1]));
        let d3 = f3.finish(f3.scale(f3.sub(rest, d2), self.inverses[2]));
        [d1, d2, d3]
    }

    /// The residues modulo one of the primes, below it.
    #[inline(always)]
    fn residue(&self, prime: usize, residues: [S::Lanes; 3]) -> S::Lanes {
        let field = self.fields[prime];
        let scaled = field.finish(field.scale(residues[prime], self.factors[prime]));
        field.finish(field.add(scaled, self.offsets[prime]))
    }

    /// Sums up what counts for each place in base 10⁹: below 3·2⁶⁰.
    #[inline(always)]
    fn sum_up(
        &self,
        [d1, d2, d3]: [S::Lanes; 3],
        thirds: &mut [u32; 2 * ROW],
        even: &mut [u64; ROW / 2],
        odd: &mut [u64; ROW / 2],
    ) {
        let simd = self.simd;
        let [one, p1, low, high] = [1, PRIMES[0].p, P1_P2[0], P1_P2[1]].map(|it| simd.splat(it));
        thirds[ROW - 1] = thirds[2 * ROW - 1];
        if let Some(row) = thirds.last_chunk_mut() {
            simd.store(d3, row);
        }
        let before = thirds[ROW - 1..].first_chunk().map_or(d3, |row| simd.load(row));
        let terms = [(d1, one), (d2, p1), (d3, low), (before, high)];
        let sum =
            |[a, b, c, d]: [S::Wide; 4]| simd.add_wide(simd.add_wide(a, b), simd.add_wide(c, d));
        simd.store_wide(sum(terms.map(|(digit, by)| simd.mul_even(digit, by))), even);
        simd.store_wide(sum(terms.map(|(digit, by)| simd.mul_odd(digit, by))), odd);
    }
}
