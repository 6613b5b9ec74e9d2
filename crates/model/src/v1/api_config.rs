//! The connection file, `calicoApiConfig`: no resource, but read by the same rules (`spec/calicoctl.md` 12.2).

use crate::decode::Decoder;
use crate::document::decode_text;
use crate::record::record;

/// The kind of a connection file.
const KIND: &str = "calicoApiConfig";

record! {
    /// A connection file.
    CalicoAPIConfig = "api.CalicoAPIConfig" {
        /// Always `calicoApiConfig`.
        kind: String = "kind" "Kind";
        /// Always `v1`.
        api_version: String = "apiVersion" "APIVersion";
        /// Empty.
        metadata: CalicoAPIConfigMetadata = "metadata" "Metadata" keep;
        /// Where the datastore is.
        spec: CalicoAPIConfigSpec = "spec" "Spec" keep;
    }
}

mod metadata {
    #![expect(unused, reason = "a record without fields uses nothing that the macro prepares")]

    crate::record::record! {
        /// Nothing yet.
        CalicoAPIConfigMetadata = "api.CalicoAPIConfigMetadata" {}
    }
}
pub use metadata::CalicoAPIConfigMetadata;

record! {
    /// Where the datastore is and who asks.
    CalicoAPIConfigSpec = "api.CalicoAPIConfigSpec" {
        /// `etcdv2`, `kubernetes`, or `sqlite` for the embedded datastore; absent = `etcdv2`.
        datastore_type: Option<String> as "api.DatastoreType" = "datastoreType" "DatastoreType";
        /// etcd: `http` or `https`, with `etcdAuthority`.
        etcd_scheme: String = "etcdScheme" "EtcdScheme";
        /// etcd: `host:port`.
        etcd_authority: String = "etcdAuthority" "EtcdAuthority";
        /// etcd: URLs with `,` between; they win over scheme and authority.
        etcd_endpoints: String = "etcdEndpoints" "EtcdEndpoints";
        /// etcd: the user; counts together with `etcdPassword` only.
        etcd_username: String = "etcdUsername" "EtcdUsername";
        /// etcd: the user's password.
        etcd_password: String = "etcdPassword" "EtcdPassword";
        /// etcd: path of the client's key, PEM.
        etcd_key_file: String = "etcdKeyFile" "EtcdKeyFile";
        /// etcd: path of the client's certificate, PEM.
        etcd_cert_file: String = "etcdCertFile" "EtcdCertFile";
        /// etcd: path of the trusted roots, PEM; absent = the system's.
        etcd_ca_cert_file: String = "etcdCACertFile" "EtcdCACertFile";
        /// Kubernetes: path of a kubeconfig file.
        kubeconfig: String = "kubeconfig" "Kubeconfig";
        /// Kubernetes: URL of the API server.
        k8s_api_endpoint: String = "k8sAPIEndpoint" "K8sAPIEndpoint";
        /// Kubernetes: path of the client's key, PEM.
        k8s_key_file: String = "k8sKeyFile" "K8sKeyFile";
        /// Kubernetes: path of the client's certificate, PEM.
        k8s_cert_file: String = "k8sCertFile" "K8sCertFile";
        /// Kubernetes: path of the trusted roots, PEM.
        k8s_ca_file: String = "k8sCAFile" "K8sCAFile";
        /// Kubernetes: a bearer token.
        k8s_api_token: String = "k8sAPIToken" "K8sAPIToken";
        /// Kubernetes: do not check the server's certificate.
        k8s_insecure_skip_tls_verify: bool = "k8sInsecureSkipTLSVerify" "K8sInsecureSkipTLSVerify";
        /// Kubernetes: do not poll nodes.
        k8s_disable_node_poll: bool = "k8sDisableNodePoll" "K8sDisableNodePoll";
        /// Embedded datastore: path of its file.
        sqlite_path: String = "sqlitePath" "SQLitePath";
    }
}

/// Why a connection file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{upstream}")]
pub struct ApiConfigError {
    /// What upstream prints.
    pub upstream: String,
    /// What is wrong, and where: `line:column: message`.
    pub details: Vec<String>,
    /// What to do next.
    pub hints: Vec<String>,
}

// === impl CalicoAPIConfig ===

impl CalicoAPIConfig {
    /// Reads a connection file: its first document, strictly.
    ///
    /// # Errors
    /// A syntax error, a fault of a field, a foreign version or kind.
    pub fn decode(source: &[u8]) -> Result<Self, ApiConfigError> {
        let refuse = |upstream: String| ApiConfigError { upstream, details: Vec::new(), hints: Vec::new() };
        let mut config = Self::default();
        // COMPAT(config-file): upstream reads the first document and leaves the others alone.
        let root = match margay_text::read::documents(source).next() {
            None => None,
            Some(Ok(document)) => document.root,
            Some(Err(error)) => {
                let text = format!("error parsing document: yaml: line {}: {}", error.line, error.message);
                let details = vec![format!("{}:{}: {}", error.line, error.column, error.message)];
                return Err(ApiConfigError { details, ..refuse(text) });
            }
        };
        if let Some(root) = root.filter(|root| !crate::decode::is_null(root)) {
            let mut decoder = Decoder::default();
            decoder.members(&root, &mut config);
            let findings = decoder.into_findings();
            if let Some(text) = decode_text(&findings) {
                let place = |span: margay_text::tree::Span| format!("{}:{}", span.line, span.column);
                let detail = |f: &crate::decode::Finding| {
                    let span = f.span.unwrap_or(root.span);
                    format!("{}: {}", place(span), f.message)
                };
                return Err(ApiConfigError {
                    upstream: format!("error parsing document: {text}"),
                    details: findings.iter().map(detail).collect(),
                    hints: findings.iter().filter_map(|f| f.hint.clone()).collect(),
                });
            }
        }
        if config.api_version != "v1" {
            let text = format!("invalid config file: unknown APIVersion '{}'", config.api_version);
            return Err(ApiConfigError { hints: vec!["write apiVersion: v1".to_owned()], ..refuse(text) });
        }
        if config.kind != KIND {
            let text = format!("invalid config file: expected kind '{KIND}', got '{}'", config.kind);
            return Err(ApiConfigError { hints: vec![format!("write kind: {KIND}")], ..refuse(text) });
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests;
