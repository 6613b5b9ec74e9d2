//! Our programs beside version 1's on one datastore (`spec/ipam.md` 16).
//!
//! [`Old`] does what version 1 does, in its order and with its unconditional writes, and ends as it does where it
//! meets what it does not expect: a count below zero, a missing handle, an index out of range.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use margay_ipam::{Owner, Request, Snapshot, audit, auto_assign, release_by_handle};
use margay_model::Key;
use margay_net::Ip;
use margay_store::datastore::Datastore;
use margay_store::kv::{Kv as _, KvError, Precondition, Revision};
use margay_store::{Flat, MemoryKv};
use serde_json::{Value, json};

use crate::histories::{Dice, Troubled};

const BLOCKS: &str = "/calico/ipam/v2/assignment/ipv4/block";

/// A host with version 1's plugin.
struct Old {
    kv: MemoryKv,
    host: String,
    dice: Dice,
}

/// Why version 1 gives an attempt up.
struct Raced;

impl Old {
    async fn pause(&self) {
        for _ in 0..self.dice.roll(3) {
            tokio::task::yield_now().await;
        }
    }

    async fn get(&self, key: &str) -> Option<(Value, Revision)> {
        self.pause().await;
        let entry = self.kv.get(key).await.expect("memory")?;
        Some((serde_json::from_str(&entry.value).expect("JSON"), entry.revision))
    }

    async fn put(&self, key: &str, value: &Value, when: Precondition) -> Result<(), Raced> {
        self.pause().await;
        match self.kv.put(key, &value.to_string(), when, None).await {
            Ok(_) => Ok(()),
            Err(KvError::Conflict { .. } | KvError::Exists { .. } | KvError::NotFound { .. }) => Err(Raced),
            Err(error) => panic!("{error}"),
        }
    }

    fn handle(id: &str) -> String {
        format!("/calico/ipam/v2/handle/{id}")
    }

    /// Reads, adds and writes, whatever others did meanwhile.
    async fn count(&self, id: &str, cidr: &str, by: i64) {
        let key = Self::handle(id);
        let mut handle = match self.get(&key).await {
            Some((handle, _)) => handle,
            None if by > 0 => json!({ "block": {} }),
            None => panic!("version 1 ends: handle {id} is missing"),
        };
        let count = handle["block"][cidr].as_i64().unwrap_or_default() + by;
        assert!(count >= 0, "version 1 ends: {id} would count {count} in {cidr}");
        let blocks = handle["block"].as_object_mut().expect("an object");
        match count {
            0 => drop(blocks.remove(cidr)),
            count => drop(blocks.insert(cidr.to_owned(), count.into())),
        }
        if blocks.is_empty() {
            self.kv.delete(&key, Precondition::None).await.expect("it was there");
        } else {
            self.kv.put(&key, &handle.to_string(), Precondition::None, None).await.expect("memory");
        }
    }

    async fn add(&self, id: &str) -> Option<Ip> {
        let affinities = format!("/calico/ipam/v2/host/{}/ipv4/block", self.host);
        for name in self.kv.children(&affinities).await.expect("memory") {
            if let Some(ip) = self.assign(&name, id, true).await {
                return Some(ip);
            }
        }
        for index in 0..4 {
            let name = format!("10.0.0.{}-26", index * 64);
            if self.get(&format!("{BLOCKS}/{name}")).await.is_none() {
                if !self.claim(&name, &affinities).await {
                    return None;
                }
                return self.assign(&name, id, true).await;
            }
        }
        for index in 0..4 {
            if let Some(ip) = self.assign(&format!("10.0.0.{}-26", index * 64), id, false).await {
                return Some(ip);
            }
        }
        None
    }

    /// The key first, then the block; who comes second takes the key back and fails.
    async fn claim(&self, name: &str, affinities: &str) -> bool {
        let key = format!("{affinities}/{name}");
        let _ = self.put(&key, &json!({}), Precondition::Absent).await;
        let block = json!({
            "cidr": name.replacen('-', "/", 1), "affinity": format!("host:{}", self.host), "strictAffinity": false,
            "allocations": vec![Value::Null; 64], "unallocated": (0..64).collect::<Vec<u8>>(), "attributes": null,
        });
        if self.put(&format!("{BLOCKS}/{name}"), &block, Precondition::Absent).await.is_ok() {
            return true;
        }
        let (block, _) = self.get(&format!("{BLOCKS}/{name}")).await.expect("blocks stay here");
        let ours = block["affinity"] == json!(format!("host:{}", self.host));
        if !ours {
            self.kv.delete(&key, Precondition::None).await.expect("our own key");
        }
        ours
    }

    async fn assign(&self, name: &str, id: &str, as_owner: bool) -> Option<Ip> {
        let key = format!("{BLOCKS}/{name}");
        let cidr = name.replacen('-', "/", 1);
        for _ in 0..100 {
            let (mut block, revision) = self.get(&key).await?;
            if as_owner && block["affinity"] != json!(format!("host:{}", self.host)) {
                return None;
            }
            let free = block["unallocated"].as_array_mut().expect("an array");
            if free.is_empty() {
                return None;
            }
            let ordinal = free.remove(0).as_u64().expect("an ordinal");
            if block["attributes"].is_null() {
                block["attributes"] = json!([]);
            }
            let attributes = block["attributes"].as_array_mut().expect("an array");
            let attribute = json!({ "handle_id": id, "secondary": null });
            let index = attributes.iter().position(|known| *known == attribute).unwrap_or(attributes.len());
            if index == attributes.len() {
                attributes.push(attribute);
            }
            block["allocations"][usize::try_from(ordinal).expect("small")] = index.into();
            self.count(id, &cidr, 1).await;
            if self.put(&key, &block, Precondition::Revision(revision)).await.is_ok() {
                let (first, _) = name.split_once('-').expect("a key");
                let first = first.parse::<std::net::Ipv4Addr>().expect("an address").to_bits();
                return Some(std::net::Ipv4Addr::from(first + u32::try_from(ordinal).expect("small")).into());
            }
            self.count(id, &cidr, -1).await;
        }
        None
    }

    async fn del(&self, id: &str) {
        let Some((handle, _)) = self.get(&Self::handle(id)).await else { return };
        for cidr in handle["block"].as_object().expect("an object").keys() {
            let key = format!("{BLOCKS}/{}", cidr.replacen('/', "-", 1));
            for _ in 0..100 {
                let Some((mut block, revision)) = self.get(&key).await else { break };
                let released = Self::release(&mut block, id);
                if released == 0 {
                    break;
                }
                if self.put(&key, &block, Precondition::Revision(revision)).await.is_ok() {
                    self.count(id, cidr, -released).await;
                    break;
                }
            }
        }
    }

    /// Frees what a handle holds and renumbers, trusting every index.
    fn release(block: &mut Value, id: &str) -> i64 {
        let attributes = block["attributes"].as_array().cloned().unwrap_or_default();
        let mut freed = Vec::new();
        for (ordinal, index) in block["allocations"].as_array_mut().expect("an array").iter_mut().enumerate()
        {
            let Some(at) = index.as_u64() else { continue };
            let attribute = attributes.get(usize::try_from(at).expect("small"));
            let attribute = attribute.unwrap_or_else(|| panic!("version 1 ends: index {at} out of range"));
            if attribute["handle_id"] == id {
                *index = Value::Null;
                freed.push(ordinal);
            }
        }
        let kept: Vec<Value> = attributes.iter().filter(|a| a["handle_id"] != id).cloned().collect();
        for index in block["allocations"].as_array_mut().expect("an array") {
            if let Some(at) = index.as_u64() {
                let attribute = &attributes[usize::try_from(at).expect("small")];
                *index = kept.iter().position(|other| other == attribute).expect("it is kept").into();
            }
        }
        let count = i64::try_from(freed.len()).expect("small");
        block["unallocated"].as_array_mut().expect("an array").extend(freed.into_iter().map(Value::from));
        block["attributes"] = kept.into();
        count
    }
}

/// One of ours.
async fn add(store: &Flat<Troubled<MemoryKv>>, host: &str, id: &str) -> Option<Ip> {
    let notes = Some([("timestamp".to_owned(), format!("when {id} came"))].into());
    let owner = Owner { handle: Some(id.to_owned()), notes };
    let request = Request { host: host.to_owned(), v4: 1, owner, ..Request::default() };
    auto_assign(store, &request).await.expect("an answer").v4.pop()
}

type Ledger = Arc<Mutex<BTreeMap<Ip, String>>>;

fn given(ledger: &Ledger, ip: Option<Ip>, id: &str, living: &mut Vec<String>) {
    if let Some(ip) = ip {
        let before = ledger.lock().expect("no panic").insert(ip, id.to_owned());
        assert_eq!(before, None, "{ip} was given to {id} too");
        living.push(id.to_owned());
    }
}

#[tokio::test(start_paused = true)]
async fn version_1_on_other_hosts_neither_ends_nor_shares_an_address_with_us() {
    let mut assigned = 0;
    for seed in 0..100 {
        let kv = MemoryKv::new();
        let store = Flat::new(kv.clone(), Arc::new(|| [7; 16]));
        let cidr = "10.0.0.0/24".parse().expect("a network");
        let pool = r#"{"cidr":"10.0.0.0/24"}"#;
        store.put_record(&Key::IpPool { cidr }, pool, Precondition::None).await.expect("memory");
        let (dice, ledger) = (Dice::new(seed), Ledger::default());
        let mut working = Vec::new();
        for number in 0..4 {
            let (kv, dice, ledger) = (kv.clone(), dice.clone(), Arc::clone(&ledger));
            working.push(tokio::spawn(async move {
                let host = format!("host-{number}");
                let ours = Troubled::calm(kv.clone(), dice.clone());
                let store = Flat::new(ours, Arc::new(|| [7; 16]));
                let old = Old { kv, host: host.clone(), dice: dice.clone() };
                let mut living = Vec::new();
                for step in 0..60 {
                    if dice.roll(3) > 0 || living.is_empty() {
                        let id = format!("net.{number}-{step}");
                        let ip =
                            if number % 2 == 0 { add(&store, &host, &id).await } else { old.add(&id).await };
                        given(&ledger, ip, &id, &mut living);
                        continue;
                    }
                    let id =
                        living.swap_remove(usize::try_from(dice.roll(living.len() as u64)).expect("small"));
                    ledger.lock().expect("no panic").retain(|_, holder| *holder != id);
                    if number % 2 == 0 {
                        release_by_handle(&store, &id, |_| true).await.expect("an answer");
                    } else {
                        old.del(&id).await;
                    }
                }
            }));
        }
        for worker in working {
            worker.await.expect("nobody ends before the end");
        }
        let snapshot = Snapshot::read(&store).await.expect("an answer");
        let held: BTreeMap<Ip, String> = snapshot
            .blocks()
            .flat_map(|block| block.assigned())
            .map(|(ip, attribute)| (ip, attribute.handle.clone().unwrap_or_default()))
            .collect();
        let ledger = ledger.lock().expect("no panic").clone();
        assert_eq!(held, ledger, "history {seed}");
        assigned += ledger.len();
        let mut findings = audit(&store, SystemTime::UNIX_EPOCH).await.expect("an answer");
        findings.retain(|finding| !matches!(finding, margay_ipam::Finding::Leaked { .. }));
        assert_eq!(findings, [], "history {seed}");
    }
    assert!(assigned > 4_000, "{assigned}");
}
