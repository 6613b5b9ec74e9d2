//! `margay ipam show`: who has how much of what, as tables with bars.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use margay_ipam::Snapshot;
use margay_ipam::block::Block;
use margay_net::{Cidr, Ip};
use margay_text::table::Table;

/// The letters of a full bar.
const WIDTH: usize = 20;

/// The pools, and their blocks if wanted. Blocks that lie in no pool stand at the end.
pub(super) fn pools(snapshot: &Snapshot, with_blocks: bool) -> String {
    let mut table = Table::new();
    table.row(["GROUPING", "CIDR", "IPS TOTAL", "IPS IN USE", "IPS FREE", "USED", "HOST"]);
    let blocks: Vec<&Block> = snapshot.blocks().collect();
    for pool in &snapshot.pools {
        let within = blocks.iter().filter(|block| pool.cidr.contains(block.cidr()));
        let used = within.clone().map(|block| used(block)).sum();
        let note = if pool.enabled { "" } else { "disabled" };
        usage(&mut table, "IP Pool", pool.cidr, pool.cidr.network_size(), used, note);
        if with_blocks {
            within.for_each(|block| block_row(&mut table, block));
        }
    }
    let orphans = blocks.iter().filter(|block| !snapshot.pools.iter().any(|p| p.cidr.contains(block.cidr())));
    orphans.for_each(|block| block_row(&mut table, block));
    text(&table)
}

fn block_row(table: &mut Table, block: &Block) {
    let owner = block.affinity().map_or("-", |owner| owner.strip_prefix("host:").unwrap_or(owner));
    usage(table, "Block", block.cidr(), Some(block.size() as u128), used(block), owner);
}

/// One line; a pool whose addresses do not fit a number is never full.
fn usage(table: &mut Table, what: &str, cidr: Cidr, size: Option<u128>, used: u128, note: &str) {
    let total = size.map_or_else(|| "2^128".to_owned(), |size| size.to_string());
    let free = size.map_or_else(|| "2^128".to_owned(), |size| size.saturating_sub(used).to_string());
    let bar = bar(used, size.unwrap_or(u128::MAX));
    table.row([what, &cidr.to_string(), &total, &used.to_string(), &free, &bar, note]);
}

/// A bar of the share, with its percentage. What is used at all shows, and only what is full looks full.
fn bar(used: u128, total: u128) -> String {
    let percent = used.saturating_mul(100).checked_div(total).unwrap_or_default();
    let filled = used.saturating_mul(WIDTH as u128).checked_div(total).unwrap_or_default();
    let filled = usize::try_from(filled).unwrap_or(WIDTH).min(WIDTH);
    let filled = if used > 0 { filled.max(1) } else { 0 };
    format!("[{}{}] {percent}%", "#".repeat(filled), ".".repeat(WIDTH - filled))
}

fn used(block: &Block) -> u128 {
    (block.size() - block.free()) as u128
}

/// What each host owns, and how many addresses of others' blocks went to it.
pub(super) fn hosts(snapshot: &Snapshot) -> String {
    #[derive(Default)]
    struct Host {
        blocks: usize,
        total: usize,
        used: usize,
        borrowed: usize,
    }
    let mut hosts: BTreeMap<&str, Host> = BTreeMap::new();
    for block in snapshot.blocks() {
        if let Some(owner) = block.host() {
            let host = hosts.entry(owner).or_default();
            host.blocks += 1;
            host.total += block.size();
            host.used += block.size() - block.free();
        }
        for (_, attribute) in block.assigned() {
            if let Some(node) = attribute.note("node").filter(|node| Some(*node) != block.host()) {
                hosts.entry(node).or_default().borrowed += 1;
            }
        }
    }
    let mut table = Table::new();
    table.row(["HOST", "BLOCKS", "IPS TOTAL", "IPS IN USE", "BORROWED", "USED"]);
    for (name, host) in hosts {
        let numbers = [host.blocks, host.total, host.used, host.borrowed].map(|number| number.to_string());
        let bar = bar(host.used as u128, host.total as u128);
        table.row([name, &numbers[0], &numbers[1], &numbers[2], &numbers[3], &bar]);
    }
    text(&table)
}

/// The addresses of each handle; those without one stand at the end.
pub(super) fn handles(snapshot: &Snapshot) -> String {
    let mut held: BTreeMap<(bool, &str), Vec<Ip>> = BTreeMap::new();
    for (ip, attribute) in snapshot.blocks().flat_map(Block::assigned) {
        let handle = attribute.handle.as_deref();
        held.entry((handle.is_none(), handle.unwrap_or("<none>"))).or_default().push(ip);
    }
    let mut table = Table::new();
    table.row(["HANDLE", "IPS"]);
    for ((_, handle), addresses) in held {
        let mut list = String::new();
        for ip in addresses {
            // Writing to a text cannot fail.
            let _ = write!(list, "{}{ip}", if list.is_empty() { "" } else { " " });
        }
        table.row([handle, &list]);
    }
    text(&table)
}

/// The rows without the blanks that a layout leaves at the end of a line.
fn text(table: &Table) -> String {
    let mut text = String::new();
    table.write_text(&mut text);
    text.lines().fold(String::new(), |mut all, line| {
        all.push_str(line.trim_end());
        all.push('\n');
        all
    })
}
