//! Each fault for itself: what can happen to a connection, of every server.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use fastrand::Rng;

use super::{
    Plan,
    clients::hold_all,
    conversation::{Conversation, Endings, Wish},
    model::Found,
    subject::Subject,
};
use crate::faults::{Faults, Toxic};

/// What is cut off after each of its bytes, and its replies after each of theirs.
const REQUESTS: &[u8] = b"30\n +7\r\n100\n";
const REPLIES: &[u8] = b"832040\n13\n354224848179261915075\n";

pub(super) fn run(plan: &Plan, subject: &Arc<Subject>) -> Result<Found> {
    let mut found = hold_all(subject, Endings::InOrder, each_offset())?;
    found += hold_all(subject, Endings::InOrder, each_toxic(plan))?;
    Ok(found)
}

/// A cut and a reset after every byte, in both directions.
fn each_offset() -> impl Fn(u64) -> Option<Conversation> {
    let mut faults = Vec::new();
    for after in 0..=REQUESTS.len() as u64 {
        let toxics = [Toxic::Cut { after }, Toxic::Reset { after }];
        faults.extend(toxics.map(|it| Faults { requests: Some(it), replies: None }));
    }
    for after in 0..=REPLIES.len() as u64 {
        let toxics = [Toxic::Cut { after }, Toxic::Reset { after }];
        faults.extend(toxics.map(|it| Faults { requests: None, replies: Some(it) }));
    }
    move |number| {
        let faults = *faults.get(usize::try_from(number).ok()?)?;
        let requests = vec![REQUESTS.to_vec()];
        Some(Conversation { seed: 0, requests, pause: Duration::ZERO, faults })
    }
}

/// Every toxic in both directions, drawn from one seed after the other.
fn each_toxic(plan: &Plan) -> impl Fn(u64) -> Option<Conversation> + use<> {
    let (first, seeds) = (plan.seed, plan.seeds);
    move |number| {
        let (at, kind) = (number / Faults::KINDS, number % Faults::KINDS);
        let seed = first.wrapping_add(at);
        let drawn = Conversation::draw(Wish::Usual, seed);
        let each = Faults::one_of_each(&mut Rng::with_seed(seed), drawn.lens());
        let faults = each.into_iter().nth(usize::try_from(kind).ok()?)?;
        (at < seeds).then_some(Conversation { faults, ..drawn })
    }
}
