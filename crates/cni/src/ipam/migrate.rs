//! From host-local to `calico-ipam` on one host (`spec/ipam.md` 13.4): what host-local noted in files becomes
//! assignments, so that no address in use is given out again.
//!
//! While it runs it holds the lock of the host's IPAM plugins, so ADDs of this host wait; upstream stops the whole
//! cluster. It may be interrupted and started again at any time: a file goes only once its address is assigned.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use margay_client::{AnyStore, DatastoreKind, ExitCode, Invocation, Settings};
use margay_ipam::block::AssignError;
use margay_ipam::{AssignFailure, Owner, TIMESTAMP, addresses_of_handle, assign_ip, timestamp};
use margay_model::{Filter, Kind, Resource};
use margay_net::Ip;
use margay_store::Datastore;
use margay_store::datastore::Listed;

use crate::addresses::IFNAME;
use crate::call::runtime;
use crate::config::IPAM_LOCK_FILE;
use crate::lock::Lock;
use crate::request::Environment;

/// Where host-local keeps its files.
const STATE: &str = "/var/lib/cni/networks";

/// The network that upstream migrates, the only one.
const NETWORK: &str = "k8s-pod-network";

/// How long others may hold a lock.
const PATIENCE: Duration = Duration::from_secs(90);

/// What is migrated.
pub(super) struct Migration {
    /// host-local's folder of the network.
    pub(super) folder: PathBuf,
    /// The network: the start of handles.
    pub(super) network: String,
    /// This node.
    pub(super) node: String,
    /// The time of the assignments.
    pub(super) now: SystemTime,
}

/// One address that host-local gave out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Note {
    path: PathBuf,
    ip: Ip,
    container: String,
    ifname: String,
}

/// `calico-ipam -upgrade [-network NAME] [-data-dir DIR]`: node and datastore come from the environment.
pub(super) fn migrate(invocation: &mut Invocation<'_>) -> ExitCode {
    match start(invocation) {
        Ok(lines) => {
            for line in lines {
                // A line that cannot be written is lost; the work is done.
                let _ = writeln!(invocation.stderr, "{line}");
            }
            ExitCode::SUCCESS
        }
        Err(line) => {
            let _ = writeln!(invocation.stderr, "calico-ipam: {line}");
            ExitCode::FAILURE
        }
    }
}

fn start(invocation: &mut Invocation<'_>) -> Result<Vec<String>, String> {
    let words: Vec<String> = invocation.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let option = |name: &str| {
        let at = words.iter().position(|word| word.trim_start_matches('-') == name);
        at.and_then(|at| words.get(at + 1)).cloned()
    };
    let environment = Environment(&invocation.env);
    let node = ["KUBERNETES_NODE_NAME", "NODENAME"].map(|name| environment.text(name).to_owned());
    let node = node.into_iter().find(|name| !name.is_empty());
    let network = option("network").unwrap_or_else(|| NETWORK.to_owned());
    let migration = Migration {
        folder: Path::new(&option("data-dir").unwrap_or_else(|| STATE.to_owned())).join(&network),
        network,
        node: node.ok_or("KUBERNETES_NODE_NAME is not set")?,
        now: (invocation.now)(),
    };
    if !migration.folder.exists() {
        return Ok(vec![format!("{} is not there: nothing to do", migration.folder.display())]);
    }
    let settings = Settings::of_environment(&invocation.cwd, &invocation.env, DatastoreKind::Etcd);
    let fill = invocation.random;
    let random = Arc::new(move || {
        let mut bytes = [0; 16];
        fill(&mut bytes);
        bytes
    });
    let settings = settings.map_err(|error| error.to_string())?;
    let store: AnyStore = margay_client::open(&settings, random).map_err(|error| error.to_string())?;
    let lock = Lock::take(Path::new(IPAM_LOCK_FILE), PATIENCE);
    let _lock = lock.map_err(|error| format!("locking {IPAM_LOCK_FILE}: {error}"))?;
    let runtime = runtime().map_err(|failure| failure.msg)?;
    runtime.block_on(migration.run(&store))
}

// === impl Migration ===

impl Migration {
    /// Assigns what the files note and removes them. The answer says what was done; an error names what is left.
    pub(super) async fn run<D: Datastore>(&self, store: &D) -> Result<Vec<String>, String> {
        let folder = self.folder.display();
        let lock = Lock::take(&self.folder.join("lock"), PATIENCE);
        let _lock = lock.map_err(|error| format!("locking {folder}: {error}"))?;
        let used = self.addresses_in_use(store).await.map_err(|error| error.to_string())?;
        let mut lines = Vec::new();
        let mut left = Vec::new();
        for note in self.notes().map_err(|error| format!("reading {folder}: {error}"))? {
            match self.take_over(store, &note, used.contains(&note.ip)).await {
                Ok(line) => {
                    lines.push(line);
                    if let Err(error) = std::fs::remove_file(&note.path) {
                        left.push(format!("removing {}: {error}", note.path.display()));
                    }
                }
                Err(line) => left.push(line),
            }
        }
        if !left.is_empty() {
            return Err(left.join("; "));
        }
        std::fs::remove_dir_all(&self.folder).map_err(|error| format!("removing {folder}: {error}"))?;
        lines.push(format!("{folder} is migrated"));
        Ok(lines)
    }

    async fn take_over<D: Datastore>(&self, store: &D, note: &Note, in_use: bool) -> Result<String, String> {
        let (ip, container) = (note.ip, &note.container);
        if !in_use {
            return Ok(format!("{ip} of {container} is no endpoint's: not assigned"));
        }
        let handle = format!("{}.{container}", self.network);
        let mut notes = BTreeMap::from([
            ("node".to_owned(), self.node.clone()),
            (TIMESTAMP.to_owned(), timestamp(self.now)),
        ]);
        if !note.ifname.is_empty() {
            notes.insert(IFNAME.to_owned(), note.ifname.clone());
        }
        let owner = Owner { handle: Some(handle.clone()), notes: Some(notes) };
        match assign_ip(store, &self.node, ip, &owner).await {
            Ok(()) => Ok(format!("{ip} is assigned to {handle}")),
            Err(AssignFailure::Block(AssignError::Taken)) => {
                // Interrupted the last time, behind this very address.
                let held = addresses_of_handle(store, &handle).await.map_err(|error| error.to_string())?;
                match held.into_iter().flatten().any(|(of_handle, _)| of_handle == ip) {
                    true => Ok(format!("{ip} was assigned to {handle}")),
                    false => Err(format!("{ip} of {container} is assigned to somebody else")),
                }
            }
            Err(error) => Err(format!("assigning {ip} to {handle}: {}", error.to_string().trim_end())),
        }
    }

    async fn addresses_in_use<D: Datastore>(
        &self,
        store: &D,
    ) -> margay_store::datastore::Result<BTreeSet<Ip>> {
        let filter = Filter { node: Some(self.node.clone()), ..Filter::default() };
        let mut used = BTreeSet::new();
        let mut visit = |listed: Listed| {
            if let Listed::Resource(stored) = listed
                && let Resource::WorkloadEndpoint(endpoint) = stored.resource
            {
                used.extend(endpoint.spec.ip_networks.iter().map(|network| network.address()));
            }
        };
        store.list(Kind::WorkloadEndpoint, &filter, &mut visit).await?;
        Ok(used)
    }

    /// The files that are named by an address.
    fn notes(&self) -> io::Result<Vec<Note>> {
        let mut notes = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Ok(ip) = name.parse::<Ip>() else { continue };
            let text = std::fs::read_to_string(&path)?;
            let mut lines = text.split(['\r', '\n']).filter(|line| !line.is_empty());
            let (container, ifname) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
            let (container, ifname) = (container.to_owned(), ifname.to_owned());
            notes.push(Note { ip, container, ifname, path });
        }
        notes.sort_by_key(|note| note.ip);
        Ok(notes)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::SystemTime;

    use margay_ipam::Snapshot;
    use margay_model::Key;
    use margay_store::kv::Precondition;
    use margay_store::{Datastore as _, Flat, MemoryKv};

    use super::Migration;

    async fn put(store: &Flat<MemoryKv>, path: &str, value: &str) {
        let key = Key::parse(path).expect("a key of the data model");
        store.put_record(&key, value, Precondition::None).await.expect("memory");
    }

    fn migration(folder: &Path) -> Migration {
        Migration {
            folder: folder.to_owned(),
            network: "net".to_owned(),
            node: "a".to_owned(),
            now: SystemTime::UNIX_EPOCH,
        }
    }

    #[tokio::test]
    async fn what_host_local_gave_out_is_assigned_and_its_files_go() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("net");
        std::fs::create_dir(&folder).unwrap();
        for (name, text) in [
            ("10.0.0.2", "c2\r\neth0"),
            ("10.0.0.3", "c3"),
            ("10.0.0.9", "gone\neth0"),
            ("last_reserved_ip.0", "10.0.0.9"),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let store = Flat::new(MemoryKv::new(), Arc::new(|| [7; 16]));
        put(&store, "/calico/v1/ipam/v4/pool/10.0.0.0-24", r#"{"cidr":"10.0.0.0/24"}"#).await;
        for (workload, ip) in [("c2", "10.0.0.2"), ("c3", "10.0.0.3")] {
            let value = format!(
                r#"{{"state":"active","name":"cali{workload}","mac":null,"profile_ids":[],"ipv4_nets":["{ip}/32"],"ipv6_nets":[]}}"#
            );
            put(&store, &format!("/calico/v1/host/a/workload/cni/{workload}/endpoint/eth0"), &value).await;
        }
        migration(&folder).run(&store).await.unwrap();
        assert!(!folder.exists());
        let snapshot = Snapshot::read(&store).await.unwrap();
        let held: Vec<(String, String, Option<String>)> = snapshot
            .blocks()
            .flat_map(|block| block.assigned())
            .map(|(ip, held)| {
                (
                    ip.to_string(),
                    held.handle.clone().unwrap_or_default(),
                    held.note("ifname").map(str::to_owned),
                )
            })
            .collect();
        let of = |ip: &str, handle: &str, ifname: Option<&str>| {
            (ip.to_owned(), handle.to_owned(), ifname.map(str::to_owned))
        };
        assert_eq!(held, [of("10.0.0.2", "net.c2", Some("eth0")), of("10.0.0.3", "net.c3", None)]);
        assert_eq!(margay_ipam::check(&snapshot, SystemTime::UNIX_EPOCH), []);
        // Interrupted before its file went: the second time it is as it should be.
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("10.0.0.2"), "c2\r\neth0").unwrap();
        migration(&folder).run(&store).await.unwrap();
        // An address that somebody else has stays where it is, and is named.
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("10.0.0.3"), "other\r\neth0").unwrap();
        let told = migration(&folder).run(&store).await.unwrap_err();
        assert_eq!(told, "10.0.0.3 of other is assigned to somebody else");
        assert!(folder.join("10.0.0.3").exists());
    }
}
