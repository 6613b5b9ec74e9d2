//! What a commit would do, as a difference that people can read; nothing is done.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use margay_kernel::RtError;
use margay_kernel::nft::{Batch, Chain, CommitError, Contents, Detail, DumpError, Fake, Nftables, Table};

use super::Dataplane;
use super::commit::chain_of;
use crate::actual::{Actual, Plan};
use crate::desired::Dirty;
use crate::machine::Machine;
use crate::render::{Stamp, fixed};
use crate::report::Report;

/// What a commit would do could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The table could not be read.
    #[error("reading the table")]
    Dump(#[from] DumpError),
    /// Routes could not be read.
    #[error("reading routes")]
    Routes(#[from] RtError),
    /// Links could not be listed.
    #[error("listing links: {0}")]
    Links(String),
}

impl<M: Machine> Dataplane<M> {
    /// What the next commit would change in the kernel as it is now: lines with `+` and `-`; empty when nothing.
    ///
    /// The batch is tried on a copy of the table in memory, which refuses what the kernel would.
    pub fn plan(&mut self) -> Result<String, PlanError> {
        let mut report = Report::default();
        self.links_unknown = true;
        self.list_links(&mut report);
        if let Some(error) = report.errors.into_iter().next() {
            return Err(PlanError::Links(error));
        }
        self.model.settle();
        let contents = self.machine.tables().dump(&fixed::table_id(), Detail::Full)?.contents;
        let (found, members) = Actual::read(contents.as_ref(), &self.model.desired);
        self.model.sets.compare(&self.model.desired, &members);
        // What has been compared here is compared again before it is written.
        self.verify = true;
        let world = self.model.world();
        let plan = Plan::of(&world, &found, &Dirty { everything: true, ..Dirty::default() });
        let mut text = String::new();
        if !plan.is_empty() {
            let mut copy = copy_of(contents.as_ref(), self.features);
            self.batch.clear();
            plan.write(&world, &mut self.batch, false);
            if let Err(error) = copy.commit(&mut self.batch) {
                let _ = writeln!(text, "! the kernel would refuse: {}", chain_of(&error));
            }
            let before = contents.map(|contents| contents.to_string()).unwrap_or_default();
            let after = copy.contents(&fixed::table_id()).map(ToString::to_string).unwrap_or_default();
            difference(&before, &after, &mut text);
        }
        let config = &self.model.config;
        let view = &self.model.view;
        for line in
            self.model.routes.preview(self.machine.network(), view, |name| config.is_workload(name))?
        {
            let _ = writeln!(text, "{line}");
        }
        Ok(text)
    }
}

/// A copy of the table in memory. Rules that are not ours are left out: their chains are written anew anyhow.
fn copy_of(contents: Option<&Contents>, features: margay_kernel::nft::Features) -> Fake {
    let mut copy = Fake::new(features);
    if let Some(contents) = contents {
        let mut batch = Batch::new(contents.id.clone(), features);
        batch.add_table(&Table { comment: contents.comment.clone(), ..Table::new(contents.id.clone()) });
        let sets = || contents.sets.iter().filter_map(|(name, set)| Some((name, set.set.as_ref()?, set)));
        for (_, declaration, _) in sets() {
            batch.add_set(declaration);
        }
        for (name, chain) in &contents.chains {
            batch.add_chain(&Chain { name: name.clone(), base: chain.base, comment: chain.comment.clone() });
        }
        for (name, _, set) in sets() {
            batch.add_elements(name, set.elements());
        }
        for (name, chain) in &contents.chains {
            for rule in chain.rules.iter().filter_map(|rule| rule.rule.as_ref()) {
                batch.add_rule(name, rule);
            }
        }
        let loaded: Result<(), CommitError> = copy.commit(&mut batch);
        if loaded.is_err() {
            // Something of another program's that the copy does not know: then the whole table shows as new.
            return Fake::new(features);
        }
    }
    copy
}

/// The lines that differ between two tables, under the heads of their chains and sets.
fn difference(before: &str, after: &str, text: &mut String) {
    let (before, after) = (blocks(before), blocks(after));
    let names: std::collections::BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let none = Vec::new();
    for name in names {
        let (old, new) = (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
        if old == new {
            continue;
        }
        let sign = match (before.contains_key(name), after.contains_key(name)) {
            (true, true) => ' ',
            (true, false) => '-',
            (false, _) => '+',
        };
        let _ = writeln!(text, "{sign} {name}");
        for (sign, line) in edit(old, new) {
            let _ = writeln!(text, "{sign}     {line}");
        }
    }
}

/// The lines of each block of a table, by its head, without hashes.
fn blocks(table: &str) -> BTreeMap<&str, Vec<String>> {
    let mut blocks: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut head = "table";
    for line in table.lines() {
        let inner = line.trim();
        if line.starts_with("\t") && !line.starts_with("\t\t") && inner.ends_with('{') {
            head = inner.trim_end_matches(" {");
            blocks.entry(head).or_default();
        } else if inner != "}" && !inner.is_empty() && head != "table" {
            blocks.entry(head).or_default().push(without_stamp(inner));
        }
    }
    blocks
}

/// A line without the hash in its comment, which differs for every rule behind one that is new.
fn without_stamp(line: &str) -> String {
    let Some((rule, comment)) = line.split_once(" comment \"") else { return line.to_owned() };
    match Stamp::words(comment.trim_end_matches('"')) {
        "" => rule.to_owned(),
        words => format!("{rule} # {words}"),
    }
}

/// What to take away and what to add to get from one list of lines to the other.
fn edit<'a>(old: &'a [String], new: &'a [String]) -> Vec<(char, &'a str)> {
    let same_front = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[same_front..], &new[same_front..]);
    let same_back = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[..old.len() - same_back], &new[..new.len() - same_back]);
    let gone = old.iter().map(|line| ('-', line.as_str()));
    gone.chain(new.iter().map(|line| ('+', line.as_str()))).collect()
}
