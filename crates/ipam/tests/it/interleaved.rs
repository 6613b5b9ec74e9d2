//! Two operations at once, interrupted at every datastore operation, killed there, or left without an answer.
//!
//! After each run: no address went to two, what was given is still held, and nothing is wrong that the next release or
//! repair does not end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use margay_ipam::{
    AssignFailure, Finding, Owner, Request, Snapshot, assign_ip, audit, auto_assign, block_of, check,
    claim_affinity, release_addresses, release_by_handle, release_host_affinities, release_pool_affinities,
    repair,
};
use margay_model::Key;
use margay_net::Ip;
use margay_store::datastore::Datastore;
use margay_store::kv::Precondition;
use margay_store::{Flat, MemoryKv};

use crate::gated::{Actor, Gated, Loss};
use crate::ip;

/// Something that a program does with the store.
#[derive(Debug, Clone, Copy)]
enum Op {
    /// A container on a host asks for addresses.
    Add(&'static str, &'static str, usize),
    /// It asks for one in particular.
    AddIp(&'static str, &'static str, &'static str),
    /// It goes.
    Del(&'static str),
    /// Somebody releases an address.
    Free(&'static str),
    /// A host goes.
    DropHost(&'static str),
    /// The pool goes.
    DropPool,
    /// A host claims what there is.
    Claim(&'static str),
}

/// What an operation came to: the addresses that were assigned.
type Outcome = Result<Vec<Ip>, AssignFailure>;

type Store = Flat<Gated>;

fn store(kv: Gated) -> Store {
    Flat::new(kv, Arc::new(|| [7; 16]))
}

fn owner(handle: &str, unique: bool) -> Owner {
    let mut notes = BTreeMap::from([("pod".to_owned(), handle.to_owned())]);
    if unique {
        notes.insert("timestamp".to_owned(), format!("of {handle}"));
    }
    Owner { handle: Some(handle.to_owned()), notes: Some(notes) }
}

/// `number` keeps the notes of two requests of one container apart, as their moments do.
async fn perform(store: Store, op: Op, number: usize) -> Outcome {
    let owner = |handle: &str| {
        let mut owner = owner(handle, true);
        owner.notes.get_or_insert_default().insert("timestamp".to_owned(), format!("moment {number}"));
        owner
    };
    match op {
        Op::Add(host, handle, count) => {
            let (host, owner) = (host.to_owned(), owner(handle));
            let request = Request { host, v4: count, owner, ..Request::default() };
            auto_assign(&store, &request).await.map(|assigned| assigned.v4)
        }
        Op::AddIp(host, handle, address) => {
            assign_ip(&store, host, ip(address), &owner(handle)).await.map(|()| vec![ip(address)])
        }
        Op::Del(handle) => {
            release_by_handle(&store, handle, |_| true).await?;
            Ok(Vec::new())
        }
        Op::Free(address) => {
            release_addresses(&store, &[ip(address)]).await?;
            Ok(Vec::new())
        }
        Op::DropHost(host) => {
            release_host_affinities(&store, host).await?;
            Ok(Vec::new())
        }
        Op::DropPool => {
            release_pool_affinities(&store, "10.0.0.0/24".parse().expect("a network")).await?;
            Ok(Vec::new())
        }
        Op::Claim(host) => {
            claim_affinity(&store, "10.0.0.0/25".parse().expect("a network"), host).await?;
            Ok(Vec::new())
        }
    }
}

/// What stands in the store before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum World {
    /// A pool of two blocks.
    Empty,
    /// Host `a` has a block, from which `h1` has an address.
    Used,
    /// The pool is one block, `a`'s, and one address of it is free.
    Nearly,
    /// The block that `h1` has an address from is nobody's.
    Unowned,
}

async fn world(which: World) -> MemoryKv {
    let kv = MemoryKv::new();
    let store = Flat::new(kv.clone(), Arc::new(|| [7; 16]));
    let pool = if which == World::Nearly { "10.0.0.0/26" } else { "10.0.0.0/25" };
    let cidr = pool.parse().expect("a network");
    let value = format!(r#"{{"cidr":"{pool}","disabled":false}}"#);
    store.put_record(&Key::IpPool { cidr }, &value, Precondition::None).await.expect("the store answers");
    let assign = async |handle: &str, count| {
        let request =
            Request { host: "a".to_owned(), v4: count, owner: owner(handle, true), ..Request::default() };
        assert_eq!(auto_assign(&store, &request).await.expect("the store answers").v4.len(), count);
    };
    match which {
        World::Empty => {}
        World::Used => assign("h1", 1).await,
        World::Nearly => {
            assign("h1", 1).await;
            assign("rest", 62).await;
        }
        World::Unowned => {
            assign("h1", 1).await;
            release_pool_affinities(&store, cidr).await.expect("the store answers");
        }
    }
    kv
}

/// Whose addresses an operation may release.
fn releases(op: Op, handle: &str, address: Ip) -> bool {
    match op {
        Op::Del(gone) => gone == handle,
        Op::Free(freed) => ip(freed) == address,
        Op::Add(..) | Op::AddIp(..) | Op::DropHost(_) | Op::DropPool | Op::Claim(_) => false,
    }
}

fn handle_of(op: Op) -> &'static str {
    match op {
        Op::Add(_, handle, _) | Op::AddIp(_, handle, _) => handle,
        Op::Del(_) | Op::Free(_) | Op::DropHost(_) | Op::DropPool | Op::Claim(_) => "",
    }
}

/// Everything wrong in the store, but for endpoints, of which there are none.
async fn wrong(kv: &MemoryKv) -> Vec<Finding> {
    let store = Flat::new(kv.clone(), Arc::new(|| [7; 16]));
    let mut findings =
        check(&Snapshot::read(&store).await.expect("the store answers"), SystemTime::UNIX_EPOCH);
    findings.retain(|finding| !matches!(finding, Finding::Leaked { .. }));
    findings
}

/// Who holds which address.
async fn holders(kv: &MemoryKv) -> BTreeMap<Ip, String> {
    let store = Flat::new(kv.clone(), Arc::new(|| [7; 16]));
    let snapshot = Snapshot::read(&store).await.expect("the store answers");
    let mut holders = BTreeMap::new();
    for (ip, attribute) in snapshot.blocks().flat_map(|block| block.assigned()) {
        let before = holders.insert(ip, attribute.handle.clone().unwrap_or_default());
        assert_eq!(before, None, "{ip} is assigned in two blocks");
    }
    holders
}

/// What must hold of two operations that ran at once.
async fn judge(kv: &MemoryKv, outcomes: &[(Op, Outcome)], story: &str) {
    let held = holders(kv).await;
    let mut given: BTreeMap<Ip, Op> = BTreeMap::new();
    for (op, outcome) in outcomes {
        for address in outcome.iter().flatten() {
            let released = outcomes.iter().any(|(other, _)| releases(*other, handle_of(*op), *address));
            let twice = given.insert(*address, *op);
            assert!(twice.is_none() || released, "{story}: {address} went to {twice:?} and {op:?}");
            if !released {
                assert_eq!(held.get(address).map(String::as_str), Some(handle_of(*op)), "{story}: {address}");
            }
        }
    }
    let mut findings = wrong(kv).await;
    let host_goes = outcomes.iter().any(|(op, _)| matches!(op, Op::DropHost(_)));
    // A host that is removed while it claims: its directory goes, its block stays. The next request heals it.
    findings.retain(|finding| !(host_goes && matches!(finding, Finding::LostClaim { .. })));
    assert_eq!(findings, [], "{story}");
}

/// How a store takes several writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    OneByOne,
    Together,
}

fn start(kv: &MemoryKv, writes: Writes, op: Op, number: usize) -> (Gated, Actor<Outcome>) {
    let gated = match writes {
        Writes::OneByOne => Gated::new(kv),
        Writes::Together => Gated::batching(kv),
    };
    let actor = gated.start(perform(store(gated.clone()), op, number));
    (gated, actor)
}

/// Runs `first` for `n` operations, `second` for `m`, then `first` to its end, then `second`, for all `n` and `m`.
async fn interleave(which: World, writes: Writes, first: Op, second: Op) -> usize {
    let mut runs = 0;
    for n in 0.. {
        let mut first_done = false;
        for m in 0.. {
            let kv = world(which).await;
            let (_, one) = start(&kv, writes, first, 1);
            let (_, two) = start(&kv, writes, second, 2);
            first_done = one.run(n).await;
            let second_done = two.run(m).await;
            let outcomes = [(first, one.finish().await), (second, two.finish().await)];
            let story = format!("{which:?}: {first:?} for {n}, {second:?} for {m}");
            judge(&kv, &outcomes, &story).await;
            runs += 1;
            if second_done || m > 60 {
                break;
            }
        }
        if first_done || n > 60 {
            break;
        }
    }
    runs
}

const OPS: [Op; 10] = [
    Op::Add("a", "h1", 1),
    Op::Add("a", "h2", 1),
    Op::Add("b", "h3", 2),
    Op::AddIp("b", "h4", "10.0.0.0"),
    Op::AddIp("a", "h1", "10.0.0.70"),
    Op::Del("h1"),
    Op::Free("10.0.0.0"),
    Op::DropHost("a"),
    Op::DropPool,
    Op::Claim("b"),
];

/// Every operation against every other, in one world.
async fn all_pairs(which: World, writes: Writes) {
    let mut runs = 0;
    for first in OPS {
        for second in OPS {
            runs += interleave(which, writes, first, second).await;
        }
    }
    assert!(runs > 1000, "{runs} runs");
}

#[tokio::test(start_paused = true)]
async fn two_at_once_in_an_empty_store() {
    all_pairs(World::Empty, Writes::OneByOne).await;
}

#[tokio::test(start_paused = true)]
async fn two_at_once_where_a_host_has_a_block() {
    all_pairs(World::Used, Writes::OneByOne).await;
}

#[tokio::test(start_paused = true)]
async fn two_at_once_for_the_last_address() {
    all_pairs(World::Nearly, Writes::OneByOne).await;
}

#[tokio::test(start_paused = true)]
async fn two_at_once_in_a_block_without_owner() {
    all_pairs(World::Unowned, Writes::OneByOne).await;
}

#[tokio::test(start_paused = true)]
async fn two_at_once_on_a_store_that_commits_writes_together() {
    all_pairs(World::Used, Writes::Together).await;
    all_pairs(World::Nearly, Writes::Together).await;
}

/// What is left by an operation that did not end well goes with the container, or with a repair.
async fn tidy(kv: &MemoryKv, story: &str) {
    let store = Flat::new(kv.clone(), Arc::new(|| [7; 16]));
    for handle in ["h1", "h2", "h3", "h4", "rest"] {
        release_by_handle(&store, handle, |_| true).await.expect("the store answers");
    }
    assert_eq!(holders(kv).await, BTreeMap::new(), "{story}: held after everybody went");
    let findings = audit(&store, SystemTime::UNIX_EPOCH).await.expect("the store answers");
    let harmless =
        |finding: &Finding| matches!(finding, Finding::LostClaim { .. } | Finding::StrayClaim { .. });
    assert!(findings.iter().all(harmless), "{story}: {findings:?}");
    for finding in &findings {
        assert!(repair(&store, finding).await.expect("the store answers"), "{story}: {finding}");
    }
    assert_eq!(audit(&store, SystemTime::UNIX_EPOCH).await.expect("the store answers"), [], "{story}");
}

#[tokio::test(start_paused = true)]
async fn a_process_may_be_killed_before_every_operation() {
    let mut kills = 0;
    for which in [World::Empty, World::Used, World::Nearly, World::Unowned] {
        for (op, writes) in OPS.into_iter().flat_map(|op| [(op, Writes::OneByOne), (op, Writes::Together)]) {
            for n in 0.. {
                let kv = world(which).await;
                let (_, actor) = start(&kv, writes, op, 1);
                let done = actor.run(n).await;
                actor.kill().await;
                let story = format!("{which:?}: {op:?} killed after {n}");
                // Others are not locked out, and get what is nobody's.
                let next = perform(store_of(&kv), Op::Add("a", "h2", 1), 2).await;
                let story_next = format!("{story}, then h2");
                let held = holders(&kv).await;
                for address in next.iter().flatten() {
                    assert_eq!(held.get(address).map(String::as_str), Some("h2"), "{story_next}");
                }
                tidy(&kv, &story).await;
                kills += 1;
                if done {
                    break;
                }
            }
        }
    }
    assert!(kills > 150, "{kills} kills");
}

fn store_of(kv: &MemoryKv) -> Store {
    let gated = Gated::new(kv);
    let free: Actor<()> = gated.start(async {});
    // Nobody waits at a gate that stands open.
    tokio::spawn(free.finish());
    store(gated)
}

#[tokio::test(start_paused = true)]
async fn every_request_and_every_answer_may_get_lost() {
    let mut lost = 0;
    for which in [World::Empty, World::Used, World::Nearly, World::Unowned] {
        let kinds =
            [Loss::Request, Loss::Answer].map(|loss| [Writes::OneByOne, Writes::Together].map(|w| (loss, w)));
        let kinds = kinds.into_iter().flatten();
        for (op, (loss, writes)) in OPS.into_iter().flat_map(|op| kinds.clone().map(move |kind| (op, kind))) {
            for n in 0.. {
                let kv = world(which).await;
                let before = holders(&kv).await;
                let (gated, actor) = start(&kv, writes, op, 1);
                gated.lose(n, loss);
                while !actor.run(8).await {}
                let reached = actor.calls() > n;
                let outcome = actor.finish().await;
                let story = format!("{which:?}: {op:?}, {loss:?} {n} lost: {outcome:?}");
                let held = holders(&kv).await;
                for address in outcome.iter().flatten() {
                    assert_eq!(held.get(address).map(String::as_str), Some(handle_of(op)), "{story}");
                }
                if let (Op::Add(_, _, count), Ok(got)) = (op, &outcome) {
                    // Not a second address for one whose answer got lost.
                    let new: BTreeSet<&Ip> = held.keys().filter(|ip| !before.contains_key(ip)).collect();
                    assert_eq!(new, got.iter().collect(), "{story}");
                    assert!(got.len() <= count, "{story}");
                }
                tidy(&kv, &story).await;
                lost += 1;
                if !reached {
                    break;
                }
            }
        }
    }
    assert!(lost > 300, "{lost} losses");
}

#[tokio::test(start_paused = true)]
async fn hosts_that_start_together_each_get_an_address() {
    // I93: 16 blocks, 32 hosts.
    let kv = MemoryKv::new();
    let setup = Flat::new(kv.clone(), Arc::new(|| [7; 16]));
    let cidr = "10.0.0.0/22".parse().expect("a network");
    setup
        .put_record(&Key::IpPool { cidr }, r#"{"cidr":"10.0.0.0/22"}"#, Precondition::None)
        .await
        .expect("the store answers");
    let hosts: Vec<String> = (0..32).map(|n| format!("host-{n}")).collect();
    let mut running = Vec::new();
    for host in &hosts {
        let gated = Gated::new(&kv);
        let (store, host) = (store(gated.clone()), host.clone());
        running.push(gated.start(async move {
            let request =
                Request { owner: owner(&host, true), host: host.clone(), v4: 1, ..Request::default() };
            auto_assign(&store, &request).await.map(|assigned| assigned.v4)
        }));
    }
    // One operation each in turn: as close together as they can be.
    let mut all_done = false;
    while !all_done {
        all_done = true;
        for actor in &running {
            all_done &= actor.run(1).await;
        }
    }
    let mut given = BTreeMap::new();
    for (host, actor) in hosts.iter().zip(running) {
        let addresses = actor.finish().await.expect("the store answers");
        assert_eq!(addresses.len(), 1, "{host}");
        assert_eq!(given.insert(addresses[0], host.clone()), None);
    }
    let snapshot = Snapshot::read(&setup).await.expect("the store answers");
    assert_eq!((snapshot.claims.len(), snapshot.blocks().count()), (16, 16));
    assert_eq!(wrong(&kv).await, []);
    for (address, host) in given {
        let owns = snapshot.claims.iter().find(|claim| claim.host == host).map(|claim| claim.block);
        assert!(owns.is_none() || owns == Some(block_of(address)), "{host} owns {owns:?}, got {address}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_of_one_host_share_one_block() {
    // I94, and I90 as far as one process each goes.
    for count in [4, 64] {
        let kv = world(World::Empty).await;
        let mut running = Vec::new();
        for n in 0..count {
            let gated = Gated::new(&kv);
            let store = store(gated.clone());
            running.push(gated.start(async move {
                let owner = owner(&format!("h{n}"), true);
                let request = Request { host: "a".to_owned(), v4: 1, owner, ..Request::default() };
                auto_assign(&store, &request).await.map(|assigned| assigned.v4)
            }));
        }
        let mut all_done = false;
        while !all_done {
            all_done = true;
            for actor in &running {
                all_done &= actor.run(1).await;
            }
        }
        let mut given = BTreeSet::new();
        for actor in running {
            given.extend(actor.finish().await.expect("the store answers"));
        }
        assert_eq!(given.len(), count);
        let blocks: BTreeSet<_> = given.into_iter().map(block_of).collect();
        assert_eq!(blocks.len(), 1, "{count} requests");
        assert_eq!(wrong(&kv).await, []);
    }
}
