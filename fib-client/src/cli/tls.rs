//! The flags of TLS.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use fib_client::{Tls, TlsError, TlsOptions};

/// Whom to trust, and who to be.
#[derive(Debug, Args)]
pub(crate) struct TlsArgs {
    /// Encrypt, and trust the certificates that this machine trusts
    #[arg(long, env = "FIB_TLS")]
    pub(crate) tls: bool,

    /// Encrypt, and trust the authorities in FILE and no others
    #[arg(long, env = "FIB_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// The client's own certificate, and those between it and its authority, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The private key of that certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// The name in the server's certificate [default: the host of --server]
    #[arg(long, value_name = "NAME")]
    tls_name: Option<String>,
}

impl TlsArgs {
    /// Whether any of them is there: each one wants TLS.
    pub(crate) const fn is_wanted(&self) -> bool {
        self.tls || self.tls_ca.is_some() || self.tls_cert.is_some() || self.tls_name.is_some()
    }

    /// As they are meant, if they are there.
    pub(crate) fn read(&self) -> Result<Option<Tls>> {
        if !self.is_wanted() {
            return Ok(None);
        }
        let options = TlsOptions {
            ca: self.tls_ca.clone(),
            identity: self.tls_cert.clone().zip(self.tls_key.clone()),
            name: self.tls_name.clone(),
        };
        match Tls::new(&options) {
            Ok(tls) => Ok(Some(tls)),
            Err(error) => {
                let flag = self.flag_of(&error);
                Err(error).context(flag)
            }
        }
    }

    fn flag_of(&self, error: &TlsError) -> &'static str {
        match error {
            TlsError::Ca { ca: None, .. } => "--tls",
            TlsError::Ca { .. } => "--tls-ca",
            TlsError::Identity { file, .. } if self.tls_cert.as_ref() == Some(file) => "--tls-cert",
            TlsError::Identity { .. } => "--tls-key",
            _ => "--tls-name",
        }
    }
}
