//! The three sources agree, and all of them satisfy the recurrence.

use dashu_int::UBig;
use fib_core::{Decimal, decimal_len, exact, fib, fib_u128, recursive};
use proptest::{prelude::*, sample::Index};

#[test]
fn recursive_table_and_doubling_agree() {
    for n in 0..=30 {
        let table = fib(n).unwrap();
        assert_eq!(recursive(n), Some(table), "n = {n}");
        assert_eq!(fib_u128(n), Some(table.into()), "n = {n}");
        assert_eq!(exact(n).as_str(), table.to_string(), "n = {n}");
    }
}

#[test]
fn exact_continues_the_table_without_a_seam() {
    let mut pair = (UBig::ZERO, UBig::ONE);
    for n in 0..2_000 {
        assert_eq!(exact(n).as_str(), pair.0.to_string(), "n = {n}");
        if let Some(word) = fib_u128(n) {
            assert_eq!(UBig::from(word), pair.0, "n = {n}");
        }
        let next = &pair.0 + &pair.1;
        pair = (pair.1, next);
    }
}

#[test]
fn the_length_is_known_before_the_digits() {
    for n in 0..5_000 {
        assert_eq!(decimal_len(n), exact(n).len() as u64, "n = {n}");
        assert_eq!(Decimal::verified(n, exact(n).into()), Some(exact(n)), "n = {n}");
    }
    assert_eq!(decimal_len(10_000_000), 2_089_877);
    assert_eq!(decimal_len(u64::MAX), 3_855_141_514_259_838_963);
}

#[test]
fn what_is_not_the_number_is_not_verified() {
    for (n, digits) in [(0, ""), (1, "+1"), (7, "013"), (7, "13\n"), (7, " 13"), (30, "832041")] {
        assert_eq!(Decimal::verified(n, digits.to_owned()), None, "{digits:?} is not F({n})");
    }
}

proptest! {
    #[test]
    fn no_digit_can_change_alone(n in 0u64..60_000, at in any::<Index>(), by in 1u8..10) {
        let mut digits = String::from(exact(n)).into_bytes();
        let digit = &mut digits[at.index(exact(n).len())];
        *digit = b'0' + (*digit - b'0' + by) % 10;
        prop_assert_eq!(Decimal::verified(n, String::from_utf8(digits).unwrap()), None);
    }

    #[test]
    fn no_two_digits_can_change_places(
        n in 0u64..60_000,
        a in any::<Index>(),
        b in any::<Index>(),
    ) {
        let mut digits = String::from(exact(n)).into_bytes();
        let (a, b) = (a.index(digits.len()), b.index(digits.len()));
        prop_assume!(digits[a] != digits[b]);
        digits.swap(a, b);
        prop_assert_eq!(Decimal::verified(n, String::from_utf8(digits).unwrap()), None);
    }

    #[test]
    fn sum_of_two_neighbours_is_the_next(n in 0u64..60_000) {
        prop_assert_eq!(number(n) + number(n + 1), number(n + 2));
    }

    /// d'Ocagne's identity relates far apart indices: an error in one step cannot cancel out.
    #[test]
    fn product_identity_holds(m in 1u64..20_000, n in 1u64..20_000) {
        let sum = number(m) * number(n + 1) + number(m - 1) * number(n);
        prop_assert_eq!(number(m + n), sum);
    }

    #[test]
    fn digits_are_a_number(n in 0u64..60_000) {
        let decimal = exact(n);
        prop_assert!(decimal.as_str().bytes().all(|byte| byte.is_ascii_digit()));
        prop_assert!(n == 0 || !decimal.as_str().starts_with('0'));
        prop_assert_eq!(decimal.len(), decimal.to_string().len());
    }
}

fn number(n: u64) -> UBig {
    exact(n).as_str().parse().expect("it is decimal digits")
}
