//! Certificates, right and wrong ones, and what a client makes of them.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// An authority and whom it has certified, in a folder that is removed with it: `ca.pem`, and
/// `server.pem` with its `server.key` for the names of this machine.
pub(crate) struct Certificates {
    folder: PathBuf,
    authority: Issuer<'static, KeyPair>,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("certificates-{}-{}", process::id(), COUNT.fetch_add(1, Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // Each of another name: else it would be the same one with another key.
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        fs::write(folder.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        let it = Self { folder, authority: Issuer::new(params, key) };
        it.certify("server");
        it
    }

    /// Certifies somebody, in a file of that name.
    pub(crate) fn certify(&self, name: &str) {
        self.write(name, &Self::params());
    }

    /// Says that somebody was certified here.
    pub(crate) fn take_over(&self, name: &str, from: &Self) {
        for file in ["pem", "key"].map(|ending| format!("{name}.{ending}")) {
            fs::copy(from.path(&file), self.path(&file)).unwrap();
        }
    }

    /// Certifies somebody whose time is over.
    pub(crate) fn certify_expired(&self, name: &str) {
        let mut params = Self::params();
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.write(name, &params);
    }

    fn params() -> CertificateParams {
        CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap()
    }

    fn write(&self, name: &str, params: &CertificateParams) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        let mut private = fs::OpenOptions::new();
        let private = private.write(true).create(true).truncate(true).mode(0o600);
        let mut file = private.open(self.path(&format!("{name}.key"))).unwrap();
        file.write_all(key.serialize_pem().as_bytes()).unwrap();
    }

    /// Where a file of this name is.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// The flags of a server that is this one.
    pub(crate) fn flags_of(&self, name: &str) -> [String; 4] {
        let file = |ending| self.path(&format!("{name}.{ending}"));
        ["--tls-cert".to_owned(), file("pem"), "--tls-key".to_owned(), file("key")]
    }

    /// A client that trusts this authority; with a certificate of its own, if it has one.
    pub(crate) fn client(&self, name: Option<&str>) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate("ca")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match name {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(vec![self.certificate(name)], key).unwrap()
            }
        };
        ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
    }

    fn certificate(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
