//! Who the server is, and whom it serves, as certificates say it: read from files, checked, and
//! swapped as a whole while it runs.

use std::{fs, os::unix::fs::MetadataExt, path::Path, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem, pem::PemObject},
    server::{ParsedCertificate, WebPkiClientVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};
use tracing::warn;

use crate::{Cli, ConfigError, Role};

/// What a client is told before its handshake that is not to have one: a fatal alert, and in TLS's
/// own numbers `internal_error`, for there is none that says why.
pub(crate) const REFUSAL: &[u8] = &[21, 3, 3, 0, 2, 2, 80];

/// The certificates that are in use.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    server: Arc<ServerConfig>,
    itself: Arc<ClientConfig>,
}

/// Where the certificates are.
struct Files<'a> {
    /// The server's own, and those between it and its authority.
    certificate: &'a Path,
    /// The key of the first of them.
    key: &'a Path,
    /// The authorities of the clients, if those have to have one.
    client_ca: Option<&'a Path>,
}

impl Tls {
    /// Reads the files that the flags name, if they do. Children of the server speak with it alone.
    pub(crate) fn load(cli: &Cli) -> Result<Option<Self>, ConfigError> {
        match (&cli.tls_cert, &cli.tls_key, cli.role) {
            (Some(certificate), Some(key), Role::Server | Role::Successor) => {
                let client_ca = cli.tls_client_ca.as_deref();
                let tls = Self::read(&Files { certificate, key, client_ca });
                tls.map(Some).map_err(|error| ConfigError::Tls { reason: format!("{error:#}") })
            }
            _ => Ok(None),
        }
    }

    /// How to serve a client.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// How to be a client of this very server.
    pub(crate) fn itself(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.itself)
    }

    fn read(files: &Files<'_>) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let own = || format!("--tls-cert {}", files.certificate.display());
        let chain = read_certificates(files.certificate).with_context(own)?;
        let identity = read_key(files.key)
            .and_then(|key| Ok(CertifiedKey::from_der(chain.clone(), key, &provider)?))
            .with_context(|| format!("--tls-key {}, for {}", files.key.display(), own()))?;
        if let Err(reason) = check_validity(&chain[0], &provider) {
            warn!("clients will not accept {}: {reason}", own());
        }
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match files.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let roots = read_roots(file)
                    .with_context(|| format!("--tls-client-ca {}", file.display()))?;
                let roots = Arc::new(roots);
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
                builder.with_client_cert_verifier(verifier.build()?)
            }
        };
        let server = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        let pinned = Pinned { certificate: chain[0].clone(), provider: Arc::clone(&provider) };
        let itself = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous() // the one certificate that it takes is stricter than any authority
            .with_custom_certificate_verifier(Arc::new(pinned))
            .with_no_client_auth();
        Ok(Self { server: Arc::new(server), itself: Arc::new(itself) })
    }
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let certificates: Vec<_> = certificates.map_err(plain)?;
    ensure!(!certificates.is_empty(), "there is no certificate in it, in PEM");
    Ok(certificates)
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>> {
    let key = match PrivateKeyDer::from_pem_file(file) {
        Err(pem::Error::NoItemsFound) => {
            anyhow::bail!("there is no private key in it, in PEM and without a password")
        }
        key => key.map_err(plain)?,
    };
    if fs::metadata(file)?.mode() & 0o004 != 0 {
        warn!("everybody on this machine can read the key: chmod o= {}", file.display());
    }
    Ok(key)
}

fn read_roots(file: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(file)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// What the system said, without words around it.
fn plain(error: pem::Error) -> anyhow::Error {
    match error {
        pem::Error::Io(error) => error.into(),
        error => error.into(),
    }
}

/// Whether a certificate is valid now; who has signed it is not for the server to judge.
fn check_validity(certificate: &CertificateDer<'_>, provider: &CryptoProvider) -> Result<()> {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let parsed = ParsedCertificate::try_from(certificate)?;
    let algorithms = provider.signature_verification_algorithms.all;
    let nobody = RootCertStore::empty();
    let now = UnixTime::now();
    match verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], now, algorithms) {
        Err(
            error @ Error::InvalidCertificate(
                Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
            ),
        ) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Takes one certificate, whoever has signed it and whatever its name.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *certificate == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
