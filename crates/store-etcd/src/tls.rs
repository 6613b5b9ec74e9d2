//! Our side of TLS: which servers we believe, and the certificate we show.
//!
//! Files are read when the store is made, also for plain HTTP, as upstream does; the system's roots only when an
//! endpoint speaks TLS and no bundle is named.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::config::{ConfigError, EtcdConfig};
use crate::connection::os_text;

/// Reads the files; a configuration for TLS when `secure`.
pub(crate) fn load(config: &EtcdConfig, secure: bool) -> Result<Option<Arc<ClientConfig>>, ConfigError> {
    let EtcdConfig { key_file, cert_file, ca_cert_file, .. } = config;
    if key_file.is_empty() != cert_file.is_empty() {
        return Err(ConfigError::HalfKeyPair { key: key_file.clone(), cert: cert_file.clone() });
    }
    let identity = if cert_file.is_empty() { None } else { Some((certificates(cert_file)?, key(key_file)?)) };
    let bundle = if ca_cert_file.is_empty() { None } else { Some(roots_of(ca_cert_file)?) };
    if !secure {
        return Ok(None);
    }

    let roots = match bundle {
        Some(roots) => roots,
        None => system_roots()?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring offers the cipher suites of TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    let client = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            builder.with_client_auth_cert(chain, key).map_err(|error| ConfigError::BadFile {
                path: cert_file.clone(),
                reason: format!("unusable with {key_file}: {error}"),
            })?
        }
    };
    Ok(Some(Arc::new(client)))
}

fn read(path: &str) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path)
        .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), reason: os_text(&error) })
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let bad = |reason: String| ConfigError::BadFile { path: path.to_owned(), reason };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match found {
        Ok(found) if found.is_empty() => Err(bad("no PEM certificate in it".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(bad(error.to_string())),
    }
}

fn key(path: &str) -> Result<PrivateKeyDer<'static>, ConfigError> {
    // The parser's own text could quote the file.
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| ConfigError::BadFile {
        path: path.to_owned(),
        reason: "no PEM private key in it".to_owned(),
    })
}

fn roots_of(path: &str) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| ConfigError::BadFile {
            path: path.to_owned(),
            reason: format!("unusable certificate: {error}"),
        })?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, ConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let reasons: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    let reason = if reasons.is_empty() { "none found".to_owned() } else { reasons.join("; ") };
    Err(ConfigError::NoRoots { reason })
}
