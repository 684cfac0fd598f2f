//! What clients do to it that never read, never finish, or are gone.

use super::{Subject, attempts, choices};
use crate::support::{Way, for_each_way};

for_each_way! {{
    resets_leave_nothing_behind,
}}

fn resets_leave_nothing_behind(way: Way) {
    let mut choices = choices();
    let subject = Subject::start(way, &["--algorithm", "recursive"]);
    for _ in 0..attempts(10, 1_000) {
        let mut client = subject.server().connect();
        client.send(format!("10\n{}\n", choices.u8(30..40)));
        assert_eq!(client.line(), "55");
        client.reset();
    }
    subject.finish();
}
