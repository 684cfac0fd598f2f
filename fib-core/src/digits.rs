//! Numbers as decimal digits.

use alloc::{string::String, vec::Vec};

use crate::{machine::Machine, ntt::BASE, simd::Row};

/// How many digits a limb has.
pub(crate) const LIMB_DIGITS: usize = 9;

/// The digits of a limb.
type LimbDigits = [u8; LIMB_DIGITS];

/// How many groups of limbs are written at a time.
const PART_LEN: usize = 1024;

/// The digits of a number by its words in base 10¹⁸, the least significant first.
pub(crate) fn of_words(machine: Machine, words: &[u64]) -> String {
    of(machine, words, |word| limbs(*word))
}

/// Both limbs of a word.
#[expect(clippy::cast_possible_truncation, reason = "digits of the base are")]
pub(crate) fn limbs(word: u64) -> [u32; 2] {
    [word % BASE, word / BASE].map(|limb| limb as u32)
}

/// The digits of a number by its limbs in base 10⁹, the least significant first.
pub(crate) fn of_rows(machine: Machine, rows: &[Row]) -> String {
    of(machine, rows, |row| row.0)
}

/// The digits of a number by groups of so many limbs.
fn of<T: Sync, const N: usize>(
    machine: Machine,
    groups: &[T],
    limbs: impl Fn(&T) -> [u32; N] + Sync,
) -> String {
    let last = groups.iter().rposition(|group| limbs(group) != [0; N]).unwrap_or(0);
    let (rest, first) = groups[..=last].split_at(last);
    let mut leading = [[0; LIMB_DIGITS]; N];
    write(machine, first, &limbs, core::slice::from_mut(&mut leading));
    let leading = leading.as_flattened();
    let zeros = leading.iter().position(|&digit| digit != b'0').unwrap_or(leading.len() - 1);
    let leading = &leading[zeros..];
    let len = leading.len() + rest.len() * N * LIMB_DIGITS;
    let mut digits = Vec::with_capacity(len);
    digits.extend_from_slice(leading);
    digits.resize(len, 0);
    write(machine, rest, &limbs, digits[leading.len()..].as_chunks_mut().0.as_chunks_mut().0);
    String::from_utf8(digits).expect("they are digits")
}

/// Writes the digits of groups, the last group first.
fn write<T: Sync, const N: usize>(
    machine: Machine,
    groups: &[T],
    limbs: &(impl Fn(&T) -> [u32; N] + Sync),
    digits: &mut [[LimbDigits; N]],
) {
    if groups.len() > PART_LEN {
        let (low, high) = groups.split_at(groups.len() / 2);
        let (first, rest) = digits.split_at_mut(high.len());
        machine.join(
            groups.len(),
            || write(machine, high, limbs, first),
            || write(machine, low, limbs, rest),
        );
        return;
    }
    for (group, digits) in groups.iter().rev().zip(digits) {
        for (limb, digits) in limbs(group).into_iter().rev().zip(digits) {
            *digits = limb_digits(limb);
        }
    }
}

/// Eight digits at once, by products with the reciprocals of powers of ten, each in its own part of
/// a word; and the last one.
fn limb_digits(limb: u32) -> [u8; LIMB_DIGITS] {
    let (rest, last) = (u64::from(limb / 10), (limb % 10) as u8);
    let fours = (rest / 10_000) | ((rest % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | (twos - 10 * tens) << 8;
    let mut digits = [b'0' + last; LIMB_DIGITS];
    digits[..8].copy_from_slice(&(ones | 0x3030_3030_3030_3030).to_le_bytes());
    digits
}
