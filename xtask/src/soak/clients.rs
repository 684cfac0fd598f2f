//! Clients that hold conversations with a server, several at once.

use std::{rc::Rc, sync::Arc};

use anyhow::{Context, Result};
use tokio::{
    runtime,
    task::{JoinSet, LocalSet},
};

use super::{
    conversation::{Conversation, Endings},
    model::Found,
    subject::Subject,
};

/// Which conversation is the k-th; `None` when there have been enough.
pub(super) type Script = dyn Fn(u64) -> Option<Conversation>;

/// Has its clients hold all of them; the first one that is not right ends it.
pub(super) fn hold_all(
    subject: &Arc<Subject>,
    endings: Endings,
    script: impl Fn(u64) -> Option<Conversation> + 'static,
) -> Result<Found> {
    let script: Rc<Script> = Rc::new(script);
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut clients = JoinSet::new();
        for client in 0..subject.way.clients() {
            clients.spawn_local(be_client(
                client,
                Rc::clone(&script),
                Arc::clone(subject),
                endings,
            ));
        }
        let mut found = Found::default();
        while let Some(one) = clients.join_next().await {
            found += one.context("a client panicked")??;
        }
        Ok(found)
    })
}

/// The conversations are dealt out, so that it does not matter which client is the fastest.
async fn be_client(
    client: u64,
    script: Rc<Script>,
    subject: Arc<Subject>,
    endings: Endings,
) -> Result<Found> {
    let mut found = Found::default();
    let mut number = client;
    while let Some(conversation) = script(number) {
        let held = conversation.hold(&subject, endings).await;
        found += held.with_context(|| format!("conversation {number}, {}", conversation.faults))?;
        number += subject.way.clients();
    }
    Ok(found)
}
