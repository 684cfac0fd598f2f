//! How a connection from a trusted proxy begins: with a header that says who the client is.
//!
//! It is heard before anything else, and as a part of the conversation, so that a proxy which says
//! nothing keeps nobody waiting. What follows the header is the client's, also where both came in
//! one piece.

use std::{
    fmt::Display,
    io,
    time::{Duration, Instant},
};

use tracing::{Span, debug, field::display};

use crate::{
    access::{Header, Standing},
    connection::Connection,
    context::Context,
    peer::Peer,
    rejection::Rejection,
    strategy::conversation::{Received, Stream},
};

/// How long a header may take, from when its connection was accepted.
const PATIENCE: Duration = Duration::from_secs(3);

/// Hears who the client is, where there is a proxy to say so. Whether it is one to be served.
pub(super) async fn hear(
    connection: &mut Connection,
    stream: &mut impl Stream,
    context: &Context,
) -> io::Result<bool> {
    if connection.standing != Standing::Proxy {
        return Ok(true);
    }
    let until = connection.session.received_at() + PATIENCE;
    // It has a time limit of its own.
    connection.session.keep_waiting();
    loop {
        match Header::parse(connection.session.input()) {
            Ok(Some(header)) => return Ok(take(header, connection, context)),
            Ok(None) if Instant::now() < until => {}
            Ok(None) => return Ok(refuse(connection, context, "it took too long")),
            Err(error) => return Ok(refuse(connection, context, error)),
        }
        if stream.receive(&mut connection.session, Some(until)).await? == Received::End {
            // Somebody who only wants to know whether there is a server has done nothing wrong.
            let is_none = connection.session.input().is_empty();
            return Ok(!is_none && refuse(connection, context, "it is cut off"));
        }
    }
}

/// Takes note of who the client is. Whether it is one to be served.
fn take(header: Header, connection: &mut Connection, context: &Context) -> bool {
    let Header { client, len } = header;
    connection.session.skip(len);
    connection.standing = Standing::Client;
    if let Some(client) = client {
        connection.peer = Peer::Internet(client);
    }
    Span::current().record("peer", display(connection.peer));
    let is_allowed =
        client.is_none_or(|client| context.settings().access.lets_in_behind_proxy(client.ip()));
    if !is_allowed {
        context.connections().refuse(&connection.socket, connection.peer, Rejection::NotAllowed);
    }
    // A proxy that speaks for itself is no client.
    is_allowed && (client.is_none() || connection.count_for(connection.peer))
}

/// Serves nobody, because nobody has been introduced.
fn refuse(connection: &Connection, context: &Context, error: impl Display) -> bool {
    debug!("no header of the PROXY protocol: {error}");
    context.connections().refuse(&connection.socket, connection.peer, Rejection::ProxyHeader);
    false
}
