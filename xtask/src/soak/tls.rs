//! Conversations over TLS.
//!
//! Faults befall what is encrypted, and nobody between client and server sees what they say. So the
//! model sits with the client: it knows what was asked and what was answered, and not how much of
//! it has reached the other end.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    conversation::TIMEOUT,
    model::{Model, Silence},
};
use crate::faults::Faults;

/// What the server is called.
const NAME: &str = "localhost";

/// A certificate, and clients that trust it alone.
#[derive(Debug)]
pub(super) struct Tls {
    certificate: PathBuf,
    config: Arc<ClientConfig>,
}

impl Tls {
    /// A new one, in these files.
    pub(super) fn certify(certificate: PathBuf, key: &Path) -> Result<Self> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([NAME.to_owned()])?;
        fs::write(&certificate, cert.pem())?;
        fs::write(key, signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone())?;
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { certificate, config: Arc::new(client) })
    }

    /// A client of other tools, which trusts it as well.
    pub(super) fn client(&self) -> Result<fib_client::Tls> {
        let (ca, name) = (Some(self.certificate.clone()), Some(NAME.to_owned()));
        let options = fib_client::TlsOptions { ca, name, ..fib_client::TlsOptions::default() };
        fib_client::Tls::new(&options).context("trusting the server")
    }

    pub(super) async fn connect(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(&self.config)).connect(name, socket).await
    }
}

/// Whether all was right for a client whose conversation has ended like this. Every reply that it
/// has read was; what is missing has to have a reason.
pub(super) fn judge(
    model: &Model,
    silence: &Silence,
    ended: io::Result<()>,
    faults: Faults,
    drain: Option<Instant>,
) -> Result<()> {
    let has_drained = drain.is_some_and(|began| began <= Instant::now());
    if faults.lose() || has_drained || silence.may_be(TIMEOUT) {
        return Ok(());
    }
    if let Some(early) = model.early_end(TIMEOUT, None) {
        bail!("{early}");
    }
    // Of what a client sends behind its last reply, the server need not hear.
    if model.has_ended() {
        return Ok(());
    }
    ended.context("nothing was lost on the way, and it has not ended in order")
}
