//! Values published elsewhere: OEIS A000045 and its b-file, and F(10^6)'s length and ends.

use fib_core::{exact, fib, fib_u128};

const F_1000: &str = concat!(
    "434665576869374564356885276750406258025646605173717804024817290895365554179490518904038798",
    "400792551692959225930803226347752096896232398733224711616429964409065331879382989696499285",
    "16003704476137795166849228875",
);

#[test]
fn of_oeis() {
    let first = [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584];
    for (n, value) in (0..).zip(first) {
        assert_eq!(fib(n), Some(value), "n = {n}");
    }
    assert_eq!(fib(90), Some(2_880_067_194_370_816_120));
    assert_eq!(fib_u128(100), Some(354_224_848_179_261_915_075));
    assert_eq!(exact(100).as_str(), "354224848179261915075");
    assert_eq!(exact(300).as_str(), F_300);
    assert_eq!(exact(1000).as_str(), F_1000);
}

const F_300: &str = "222232244629420445529739893461909967206666939096499764990979600";

#[test]
fn of_a_million() {
    let digits = exact(1_000_000);
    assert_eq!(digits.len(), 208_988);
    assert!(digits.as_str().starts_with("19532821287077577316320149475962563324435429965918"));
    assert!(digits.as_str().ends_with("68996526838242546875"));
}
