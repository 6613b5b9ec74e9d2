//! What is still to be released: written when the datastore cannot be asked, worked off later (`spec/cni.md` 9.1).
//!
//! One file per interface, complete or absent, on disk before DEL says that it succeeded. An entry names what to
//! release and which datastore holds it, and no secret. Whoever works an entry off holds the lock of its container.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use margay_client::Settings;
use margay_net::IfName;
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};

use crate::config::NetConf;
use crate::identity::{Identity, Workload};
use crate::lock::Lock;
use crate::request::ContainerId;

/// Where the plugin keeps what outlives a call, below the root of the host.
pub(crate) const STATE: &str = "/var/run/calico/cni";

/// How many locks containers share.
const LOCKS: u8 = 251;

/// How many entries one call works off at most.
const AT_ONCE: usize = 50;

/// The state of one host's plugin.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    directory: PathBuf,
}

/// What one DEL could not release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The datastore that it stands in.
    pub(crate) datastore: String,
    /// The network.
    pub(crate) network: String,
    /// The host.
    pub(crate) node: String,
    /// The container.
    pub(crate) container: String,
    /// The interface inside it.
    pub(crate) ifname: String,
    /// The pod's namespace; empty for other containers.
    pub(crate) pod_namespace: String,
    /// The pod's name; empty for other containers.
    pub(crate) pod_name: String,
    /// Whether our IPAM holds its addresses.
    pub(crate) release: bool,
}

// === impl Entry ===

impl Entry {
    /// What there is to release of an interface.
    #[must_use]
    pub(crate) fn new(conf: &NetConf, identity: &Identity, datastore: String) -> Self {
        let (pod_namespace, pod_name) = match &identity.workload {
            Workload::Pod { namespace, name } => (namespace.clone(), name.clone()),
            Workload::Container(_) => (String::new(), String::new()),
        };
        Self {
            datastore,
            network: conf.name.clone(),
            node: identity.node.clone(),
            container: identity.container.as_str().to_owned(),
            ifname: identity.ifname.to_string(),
            pod_namespace,
            pod_name,
            release: conf.ipam.is_calico(),
        }
    }

    /// Whom it is about; none when the entry is damaged.
    #[must_use]
    pub(crate) fn identity(&self) -> Option<Identity> {
        let container = ContainerId::parse(&self.container).ok()?;
        let workload = if self.pod_namespace.is_empty() || self.pod_name.is_empty() {
            Workload::Container(container.clone())
        } else {
            Workload::Pod { namespace: self.pod_namespace.clone(), name: self.pod_name.clone() }
        };
        let ifname: IfName = self.ifname.parse().ok()?;
        Some(Identity { node: self.node.clone(), workload, container, ifname })
    }

    /// The handle of its addresses.
    #[must_use]
    pub(crate) fn handle(&self) -> String {
        format!("{}.{}", self.network, self.container)
    }

    fn file_name(&self) -> String {
        file_name(&self.network, &self.container, &self.ifname)
    }
}

/// The datastore that settings name, without a secret.
#[must_use]
pub(crate) fn datastore_name(settings: &Settings) -> String {
    let hash = Sha1::digest(format!("{:?}", settings.describe()).as_bytes());
    // The digest alone: what settings describe may be long.
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn file_name(network: &str, container: &str, ifname: &str) -> String {
    let digest = Sha1::digest(format!("{network}/{container}/{ifname}").as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}.json")
}

// === impl Journal ===

impl Default for Journal {
    fn default() -> Self {
        Self::at(Path::new(STATE))
    }
}

impl Journal {
    /// The journal below a directory of state.
    #[must_use]
    pub(crate) fn at(state: &Path) -> Self {
        Self { directory: state.to_owned() }
    }

    fn pending(&self) -> PathBuf {
        self.directory.join("pending-del")
    }

    fn lock_path(&self, container: &str) -> PathBuf {
        let digest = Sha1::digest(container.as_bytes());
        self.directory.join("locks").join(format!("{}", digest[0] % LOCKS))
    }

    /// Takes the lock of a container: nobody else works on it meanwhile.
    ///
    /// # Errors
    /// The state cannot be written, or somebody holds the lock all the time.
    pub(crate) fn lock(&self, container: &ContainerId, limit: Duration) -> io::Result<Lock> {
        Lock::take(&self.lock_path(container.as_str()), limit)
    }

    /// Writes an entry; when this returns it is on disk.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn write(&self, entry: &Entry) -> io::Result<()> {
        let directory = self.pending();
        std::fs::create_dir_all(&directory)?;
        let name = entry.file_name();
        let temporary = directory.join(format!(".{name}.{}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
        file.write_all(&serde_json::to_vec(entry)?)?;
        file.sync_all()?;
        std::fs::rename(&temporary, directory.join(&name))?;
        File::open(&directory)?.sync_all()
    }

    /// The entry of one interface.
    #[must_use]
    pub(crate) fn find(&self, network: &str, container: &ContainerId, ifname: &IfName) -> Option<Entry> {
        read(&self.pending().join(file_name(network, container.as_str(), ifname.as_str())))
    }

    /// Removes an entry that is worked off.
    pub(crate) fn remove(&self, entry: &Entry) {
        // What stays is worked off again, which changes nothing.
        let _ = std::fs::remove_file(self.pending().join(entry.file_name()));
    }

    /// True when nothing is pending: the usual case, found with one call.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        std::fs::read_dir(self.pending()).map_or(true, |mut entries| entries.next().is_none())
    }

    /// Entries of others in the same datastore, each with the lock of its container; those in work are left out.
    #[must_use]
    pub(crate) fn claim_others(&self, datastore: &str, own: &ContainerId) -> Vec<(Entry, Lock)> {
        let Ok(files) = std::fs::read_dir(self.pending()) else { return Vec::new() };
        let mut claimed = Vec::new();
        for path in files.filter_map(Result::ok).map(|file| file.path()) {
            let Some(entry) = read(&path) else { continue };
            if entry.datastore != datastore || entry.container == own.as_str() || claimed.len() == AT_ONCE {
                continue;
            }
            let Ok(Some(lock)) = Lock::try_take(&self.lock_path(&entry.container)) else { continue };
            // Between reading and locking somebody may have worked it off.
            if path.exists() {
                claimed.push((entry, lock));
            }
        }
        claimed
    }
}

fn read(path: &Path) -> Option<Entry> {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    if hidden {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Entry, Journal};
    use crate::request::ContainerId;

    fn entry(container: &str) -> Entry {
        Entry {
            datastore: "d1".to_owned(),
            network: "net1".to_owned(),
            node: "h1".to_owned(),
            container: container.to_owned(),
            ifname: "eth0".to_owned(),
            pod_namespace: "default".to_owned(),
            pod_name: "p1".to_owned(),
            release: true,
        }
    }

    #[test]
    fn an_entry_is_found_until_it_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::at(directory.path());
        assert!(journal.is_empty());
        journal.write(&entry("c1")).unwrap();
        journal.write(&entry("c1")).unwrap();
        assert!(!journal.is_empty());
        let c1 = ContainerId::parse("c1").unwrap();
        let found = journal.find("net1", &c1, &"eth0".parse().unwrap()).unwrap();
        assert_eq!(found, entry("c1"));
        let identity = found.identity().unwrap();
        assert_eq!(identity.key().path(), "/calico/v1/host/h1/workload/k8s/default.p1/endpoint/eth0");
        journal.remove(&found);
        assert!(journal.is_empty());
    }

    #[test]
    fn entries_of_others_are_claimed_once() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::at(directory.path());
        for container in ["c1", "c2", "c3"] {
            journal.write(&entry(container)).unwrap();
        }
        std::fs::write(directory.path().join("pending-del/damaged.json"), "{").unwrap();
        let own = ContainerId::parse("c1").unwrap();
        let busy = journal.lock(&ContainerId::parse("c2").unwrap(), Duration::ZERO).unwrap();
        let names = |claimed: &[(Entry, crate::lock::Lock)]| {
            claimed.iter().map(|(entry, _)| entry.container.clone()).collect::<Vec<_>>()
        };
        let claimed = journal.claim_others("d1", &own);
        assert_eq!(names(&claimed), ["c3"]);
        drop((busy, claimed));
        assert_eq!(journal.claim_others("d1", &own).len(), 2);
        assert!(journal.claim_others("d2", &own).is_empty());
    }
}
