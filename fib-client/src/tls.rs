//! Whom a client trusts, and who it is itself.

use std::{
    borrow::Cow,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use fib_proto::Address;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, ConfigBuilder, Error,
    RootCertStore, WantsVerifier,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem, pem::PemObject},
};

const CLEAR_TEXT: &str = "leave out --tls if the server speaks none";

/// What certificates a client needs. By default it trusts whom this machine trusts, has none of its
/// own, and expects the server to be called as it is addressed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The file of the authorities that are trusted, instead of this machine's.
    pub ca: Option<PathBuf>,
    /// The files of the client's own certificate and of its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name in the server's certificate.
    pub name: Option<String>,
}

/// How a client encrypts.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

/// Why a client cannot encrypt.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is nobody to trust.
    #[error("whom to trust: {}: {reason}", place(.ca.as_deref()))]
    Ca {
        /// The file, if it is not this machine's certificates.
        ca: Option<PathBuf>,
        /// What is wrong.
        reason: String,
    },
    /// The client's own certificate is no good.
    #[error("the client's certificate and key: {}: {reason}", .file.display())]
    Identity {
        /// The file that is wrong.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No certificate can have such a name.
    #[error("the server's name: {name:?} is no name that a certificate can have")]
    Name {
        /// The name.
        name: String,
    },
}

impl Tls {
    /// Reads the certificates.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read, or is not what it should be.
    pub fn new(options: &TlsOptions) -> Result<Self, TlsError> {
        let name = options.name.as_deref().map(server_name).transpose()?;
        let roots = roots(options.ca.as_deref())
            .map_err(|reason| TlsError::Ca { ca: options.ca.clone(), reason })?;
        let builder = builder().with_root_certificates(roots);
        let mut config = match &options.identity {
            None => builder.with_no_client_auth(),
            Some((file, key_file)) => {
                let wrong = |file: &Path| {
                    let file = file.to_owned();
                    move |reason| TlsError::Identity { file, reason }
                };
                let chain = certificates(file).map_err(wrong(file))?;
                let key = PrivateKeyDer::from_pem_file(key_file)
                    .map_err(|error| words(&error))
                    .map_err(wrong(key_file))?;
                let config = builder.with_client_auth_cert(chain, key);
                config.map_err(|error| error.to_string()).map_err(wrong(key_file))?
            }
        };
        // Each handshake is a whole one, as of a client that comes for the first time.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), name })
    }

    /// A layer of TLS for a connection to this address.
    pub(crate) fn begin(&self, address: &Address) -> Result<ClientConnection, TlsError> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => server_name(&host(address))?,
        };
        let refused = |_| TlsError::Name { name: format!("{name:?}") };
        ClientConnection::new(Arc::clone(&self.config), name.clone()).map_err(refused)
    }
}

/// Adds what to change to what was said about a connection, where there is something.
pub(crate) fn name_the_flag(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let advice = match inner {
        None if error.kind() == ErrorKind::UnexpectedEof => CLEAR_TEXT,
        Some(Error::InvalidMessage(_)) => CLEAR_TEXT,
        Some(Error::InvalidCertificate(wrong)) => match wrong {
            CertificateError::UnknownIssuer => "--tls-ca says whom to trust",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "--tls-name says what the server is called"
            }
            _ => return error,
        },
        Some(Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA,
        )) => "--tls-cert says who the client is",
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{error}; {advice}"))
}

fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has what both versions of TLS need")
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name { name: name.to_owned() })
}

/// What a server is called where only its address is known.
fn host(address: &Address) -> String {
    match address {
        Address::Tcp(host_and_port) => {
            let host = host_and_port.rsplit_once(':').map_or(&**host_and_port, |(host, _)| host);
            host.trim_matches(['[', ']']).to_owned()
        }
        Address::Unix(_) => "localhost".to_owned(),
    }
}

fn place(ca: Option<&Path>) -> Cow<'_, str> {
    ca.map_or(Cow::Borrowed("this machine's certificates"), Path::to_string_lossy)
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = ca {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        return Ok(roots);
    }
    let found = rustls_native_certs::load_native_certs();
    // A machine has old ones that nobody understands; those count that can be used.
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    match found.errors.first() {
        _ if usable > 0 => Ok(roots),
        Some(error) => Err(error.to_string()),
        None => Err("there are none".to_owned()),
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(|error| words(&error))?;
    if certificates.is_empty() {
        return Err("there is no certificate in it, in PEM".to_owned());
    }
    Ok(certificates)
}

/// What the system said, without words around it.
fn words(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "there is none in it, in PEM and without a password".to_owned(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_called_as_it_is_addressed() {
        for (address, name) in [
            ("fib.example:25000", "fib.example"),
            ("127.0.0.1:25000", "127.0.0.1"),
            ("[::1]:25000", "::1"),
            ("unix:/run/fib.sock", "localhost"),
        ] {
            assert_eq!(host(&address.parse().unwrap()), name);
            assert!(server_name(name).is_ok());
        }
        assert!(server_name("no such name").is_err());
    }
}
