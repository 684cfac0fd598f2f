//! Lines that come close to a request: numbers at every edge, what people and programs put around
//! them, and what only looks like one.

use fastrand::Rng;

/// Numbers that something changes at: what a limit, a word or a table can hold.
const EDGES: [u128; 9] = [0, 2, 93, 94, 186, 1 << 31, 1 << 32, 1 << 63, 1 << 64];

/// The digits that requests are made of, and what is near them.
const NEAR: &[u8] = b"0123456789 \t\r\n+-x\0\xff";

/// What passes for a digit elsewhere: Arabic, fullwidth, superscript, a half.
const FOREIGN_DIGITS: [&str; 4] = ["\u{663}", "\u{ff13}", "\u{b2}", "\u{bd}"];

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// How many lines there are for one of a hundred thousand digits.
const LINES_PER_GIANT: u32 = 2_000;

/// A line without its LF, unless it is one of those that have one in the middle.
pub(crate) fn line(rng: &mut Rng) -> Vec<u8> {
    if rng.u32(..LINES_PER_GIANT) == 0 {
        return digits(rng, 100_000).into_bytes();
    }
    match rng.u8(..8) {
        0 => some(rng, 70, |rng| rng.u8(..)),
        1 => some(rng, 70, |rng| NEAR[rng.usize(..NEAR.len())]),
        2 => changed(rng),
        _ => number(rng).into_bytes(),
    }
}

/// Up to so many bytes.
pub(crate) fn some(rng: &mut Rng, max: usize, byte: impl Fn(&mut Rng) -> u8) -> Vec<u8> {
    (0..rng.usize(..=max)).map(|_| byte(rng)).collect()
}

/// A number, with what may stand around it and with what may not.
fn number(rng: &mut Rng) -> String {
    let before = choice(rng, &["", "", "", " ", "\t", " \t ", "0x", BYTE_ORDER_MARK]);
    let sign = choice(rng, &["", "", "", "", "+", "-", "+-", "+ "]);
    let zeros = choice(rng, &["", "", "", "0", "000", "00000000000000000000000000000000000000000"]);
    let after = choice(rng, &["", "", "", "\r", " ", "\t\r", "\r\r", "\r ", "\0", ".0", "e3"]);
    let number = match rng.u8(..8) {
        0 => rng.u64(..).to_string(),
        1 => digits(rng, 40),
        2 => choice(rng, &FOREIGN_DIGITS).to_owned(),
        3 => String::new(),
        4 | 5 => rng.u8(..200).to_string(),
        _ => {
            let edge = EDGES[rng.usize(..EDGES.len())];
            (edge + rng.u128(..3)).saturating_sub(1).to_string()
        }
    };
    [before, sign, zeros, &number, after].concat()
}

/// The same, with one byte of it another one, one more or one less.
fn changed(rng: &mut Rng) -> Vec<u8> {
    let mut line = number(rng).into_bytes();
    let at = rng.usize(..=line.len());
    match (rng.u8(..3), at < line.len()) {
        (0, true) => line[at] = rng.u8(..),
        (1, true) => drop(line.remove(at)),
        _ => line.insert(at, rng.u8(..)),
    }
    line
}

fn digits(rng: &mut Rng, max: usize) -> String {
    (0..rng.usize(1..=max)).map(|_| rng.digit(10)).collect()
}

fn choice<'a>(rng: &mut Rng, among: &[&'a str]) -> &'a str {
    among[rng.usize(..among.len())]
}
