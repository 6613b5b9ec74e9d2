//! What the plugin asks a Kubernetes cluster (`spec/cni.md` 2.4, 8): a pod, its namespace, a node's ranges.
//!
//! Asked only when the configuration needs it. The client of a real API server comes with its own issue; until then
//! [`NoCluster`] says so.

use std::collections::BTreeMap;

use margay_net::Cidr;

use crate::error::{Code, Failure, Result};

/// A pod, as far as the plugin cares.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pod {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A Kubernetes cluster.
pub trait Cluster {
    /// Reads a pod.
    ///
    /// # Errors
    /// It does not exist, or the cluster did not answer.
    fn pod(&self, namespace: &str, name: &str) -> Result<Pod>;

    /// Reads the annotations of a namespace.
    ///
    /// # Errors
    /// It does not exist, or the cluster did not answer.
    fn namespace_annotations(&self, namespace: &str) -> Result<BTreeMap<String, String>>;

    /// Reads the ranges that pods of a node get their addresses from: at most one per version.
    ///
    /// # Errors
    /// It does not exist, or the cluster did not answer.
    fn pod_ranges(&self, node: &str) -> Result<Vec<Cidr>>;
}

/// No cluster can be asked.
#[derive(Debug, Clone, Copy)]
pub struct NoCluster;

// === impl NoCluster ===

impl Cluster for NoCluster {
    fn pod(&self, _: &str, _: &str) -> Result<Pod> {
        Err(cannot_ask("policy.type k8s"))
    }

    fn namespace_annotations(&self, _: &str) -> Result<BTreeMap<String, String>> {
        Err(cannot_ask("policy.type k8s"))
    }

    fn pod_ranges(&self, _: &str) -> Result<Vec<Cidr>> {
        Err(cannot_ask("usePodCidr"))
    }
}

fn cannot_ask(what: &str) -> Failure {
    Failure::new(Code::FIELD, format!("this build cannot ask a Kubernetes API server, which {what} needs"))
}
