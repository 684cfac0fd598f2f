//! Numbers modulo a prime: constants, and rows of them.
//!
//! A row is reduced lazily (D. Harvey, "Faster arithmetic for number-theoretic transforms", 2014):
//! between two operations its numbers are below 4p, which fits 32 bits, and what each operation
//! takes and gives is said where it is.

use crate::simd::Simd;

/// The exponent of two that divides p − 1 for each of the [`PRIMES`].
pub(super) const TWO_ADICITY: u32 = 23;

/// The largest primes below 2³⁰ with that exponent, the smallest first. A number below their
/// product, about 2^89.3, is known from its residues.
pub(super) const PRIMES: [Prime; 3] =
    [Prime::new(880_803_841), Prime::new(897_581_057), Prime::new(998_244_353)];

/// A prime below 2³⁰.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prime {
    pub(super) p: u32,
    /// The inverse of p modulo 2³².
    inverse: u32,
    /// A number whose power of 2^[`TWO_ADICITY`] is the first that is 1.
    root: u32,
    /// 2³².
    radix: Factor,
}

/// A factor c with ⌊2³²·c/p⌋, by which the product's quotient is known but for one (V. Shoup).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Factor {
    value: u32,
    quotient: u32,
}

#[expect(clippy::cast_possible_truncation, reason = "remainders of p, and halves of words")]
impl Prime {
    const fn new(p: u32) -> Self {
        // Newton's iteration doubles the bits that are right; the first three are.
        let mut inverse = p;
        let mut bits = 3;
        while bits < u32::BITS {
            inverse = inverse.wrapping_mul(2_u32.wrapping_sub(p.wrapping_mul(inverse)));
            bits *= 2;
        }
        let mut prime = Self { p, inverse, root: 1, radix: Factor { value: 0, quotient: 0 } };
        prime.radix = prime.factor(((1 << 32) % p as u64) as u32);
        let mut candidate = 2;
        // Half of all numbers are no squares, and lead to such a root.
        while prime.pow(prime.root, 1 << (TWO_ADICITY - 1)) != p - 1 {
            prime.root = prime.pow(candidate, (p - 1) >> TWO_ADICITY);
            candidate += 1;
        }
        prime
    }

    pub(super) const fn mul(self, a: u32, b: u32) -> u32 {
        (a as u64 * b as u64 % self.p as u64) as u32
    }

    /// The product of any two words.
    pub(super) const fn residue(self, a: u64, b: u64) -> u32 {
        self.mul((a % self.p as u64) as u32, (b % self.p as u64) as u32)
    }

    pub(super) const fn pow(self, mut base: u32, mut exponent: u32) -> u32 {
        let mut power = 1;
        while exponent > 0 {
            if exponent & 1 == 1 {
                power = self.mul(power, base);
            }
            base = self.mul(base, base);
            exponent >>= 1;
        }
        power
    }

    /// The inverse of a number that is none of p's multiples.
    pub(super) const fn invert(self, a: u32) -> u32 {
        self.pow(a, self.p - 2)
    }

    /// A root of unity of the order 2^`log`.
    pub(super) const fn root(self, log: u32) -> u32 {
        self.pow(self.root, 1 << (TWO_ADICITY - log))
    }

    /// Of a number below p.
    pub(super) const fn factor(self, value: u32) -> Factor {
        Factor { value, quotient: (((value as u64) << 32) / self.p as u64) as u32 }
    }

    /// The product of two factors, without a division: ⌊2³²·c/p⌋·p is 2³²·c less its rest, and
    /// modulo 2³² that is the negative rest.
    pub(super) const fn mul_factors(self, a: Factor, b: Factor) -> Factor {
        let value = self.scale(a.value, b);
        let rest = self.scale(value, self.radix);
        Factor { value, quotient: rest.wrapping_mul(self.inverse).wrapping_neg() }
    }

    /// Any number times a factor.
    const fn scale(self, a: u32, by: Factor) -> u32 {
        let quotient = ((a as u64 * by.quotient as u64) >> 32) as u32;
        let below_2p = a.wrapping_mul(by.value).wrapping_sub(quotient.wrapping_mul(self.p));
        if below_2p < self.p { below_2p } else { below_2p - self.p }
    }
}

impl Factor {
    pub(super) const fn value(self) -> u32 {
        self.value
    }

    /// Of the negative number; this one is not 0.
    pub(super) const fn negate(self, prime: Prime) -> Self {
        Self { value: prime.p - self.value, quotient: !self.quotient }
    }
}

/// Rows modulo a prime.
#[derive(Clone, Copy)]
pub(super) struct Field<S: Simd> {
    pub(super) simd: S,
    pub(super) p: S::Lanes,
    pub(super) twice_p: S::Lanes,
    inverse: S::Lanes,
}

/// A factor of all numbers of a row.
#[derive(Clone, Copy)]
pub(super) struct Factors<S: Simd> {
    value: S::Lanes,
    quotient: S::Lanes,
}

impl<S: Simd> Field<S> {
    #[inline(always)]
    pub(super) fn new(simd: S, prime: Prime) -> Self {
        let [p, twice_p, inverse] = [prime.p, 2 * prime.p, prime.inverse].map(|it| simd.splat(it));
        Self { simd, p, twice_p, inverse }
    }

    #[inline(always)]
    pub(super) fn splat(self, Factor { value, quotient }: Factor) -> Factors<S> {
        Factors { value: self.simd.splat(value), quotient: self.simd.splat(quotient) }
    }

    /// Any numbers times a factor, below 2p.
    #[inline(always)]
    pub(super) fn scale(self, a: S::Lanes, by: Factors<S>) -> S::Lanes {
        let s = self.simd;
        let quotient = s.mul_high(a, by.quotient);
        s.sub(s.mul_low(a, by.value), s.mul_low(quotient, self.p))
    }

    /// A sum, of numbers whose sum is below 4p.
    #[inline(always)]
    pub(super) fn add(self, a: S::Lanes, b: S::Lanes) -> S::Lanes {
        self.simd.add(a, b)
    }

    /// A difference, below 4p where both numbers are below 2p.
    #[inline(always)]
    pub(super) fn sub(self, a: S::Lanes, b: S::Lanes) -> S::Lanes {
        self.simd.add(self.simd.sub(a, b), self.twice_p)
    }

    /// From below 4p to below 2p.
    #[inline(always)]
    pub(super) fn halve(self, a: S::Lanes) -> S::Lanes {
        // Where it is less, the difference has wrapped around and is the larger one.
        self.simd.min(a, self.simd.sub(a, self.twice_p))
    }

    /// From below 2p to below p.
    #[inline(always)]
    pub(super) fn finish(self, a: S::Lanes) -> S::Lanes {
        self.simd.min(a, self.simd.sub(a, self.p))
    }

    /// From below 4p to below p.
    #[inline(always)]
    pub(super) fn reduce(self, a: S::Lanes) -> S::Lanes {
        self.finish(self.halve(a))
    }

    /// Sums of 16 products of numbers below p, times 2⁻³², below 3p (P. L. Montgomery, "Modular
    /// multiplication without trial division", 1985).
    #[inline(always)]
    pub(super) fn montgomery(self, even: S::Wide, odd: S::Wide) -> S::Lanes {
        let s = self.simd;
        // 16·p² is below 2⁶⁴, so a high half is below 4p.
        let high = self.halve(s.high_halves(even, odd));
        let multiple = |sum| s.mul_wide(s.mul_wide(sum, self.inverse), self.p);
        let subtracted = s.high_halves(multiple(even), multiple(odd));
        s.add(s.sub(high, subtracted), self.p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_have_what_is_asked_of_them() {
        for prime in PRIMES {
            let Prime { p, inverse, .. } = prime;
            assert!(p < 1 << 30 && (2..=40_000).all(|it| p % it > 0), "{p} is prime");
            assert_eq!(p % (1 << TWO_ADICITY), 1);
            assert_eq!(p.wrapping_mul(inverse), 1);
            assert_eq!(prime.pow(prime.root(5), 16), p - 1);
            assert_eq!(prime.mul(prime.invert(12_345), 12_345), 1);
            let factor = prime.factor(12_345);
            assert_eq!(factor.negate(prime), prime.factor(p - 12_345));
            let product = prime.factor(prime.mul(12_345, p - 2));
            assert_eq!(prime.mul_factors(factor, prime.factor(p - 2)), product);
        }
        assert!(PRIMES.is_sorted_by_key(|it| it.p));
    }
}
