//! What Felix leaves in a kernel, how it is recognised, and how it is removed (`spec/agent.md` 5).
//!
//! Recognising is by name. Removing iptables rules takes iptables' own programs: they alone know their table format.
//! It happens in `margay cleanup` and in the take-over, after our own rules stand; nowhere else is a program run.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

/// How the names of Felix's chains begin, those of old versions included.
const CHAIN_PREFIXES: [&str; 8] =
    ["cali-", "califw-", "calitw-", "califh-", "calith-", "calipi-", "calipo-", "felix-"];

/// How the names of Felix's ipsets begin.
const SET_PREFIXES: [&str; 2] = ["cali", "felix-"];

/// The programs that read and write one family's tables in one of the two formats.
const FORMATS: [&str; 6] =
    ["iptables-legacy", "ip6tables-legacy", "iptables-nft", "ip6tables-nft", "iptables", "ip6tables"];

/// Running a program, or a fake of it.
pub trait Tools {
    /// Runs a program with that on its input; what it printed. [`io::ErrorKind::NotFound`] when there is none.
    fn run(&mut self, program: &str, arguments: &[&str], input: &str) -> io::Result<String>;
}

/// The programs of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Programs;

/// What was removed, and what would not go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// In words, one thing each.
    pub removed: Vec<String>,
    /// In words, with the reason.
    pub failed: Vec<String>,
}

// === impl Programs ===

impl Tools for Programs {
    fn run(&mut self, program: &str, arguments: &[&str], input: &str) -> io::Result<String> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // The program may end before it has read all; what it then says counts.
        let _ = child.stdin.take().expect("it was asked for").write_all(input.as_bytes());
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(io::Error::other(format!("{program} failed ({}): {words}", output.status)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

// === recognising ===

/// True for a chain of Felix's.
#[must_use]
pub fn is_chain(name: &str) -> bool {
    CHAIN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// True for an ipset of Felix's.
#[must_use]
pub fn is_set(name: &str) -> bool {
    SET_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// True for a table that a later Felix keeps in nftables.
#[must_use]
pub fn is_table(family: &str, name: &str) -> bool {
    matches!((family, name), ("ip" | "ip6", "calico") | ("arp", "calico-arp"))
}

/// What `iptables-restore --noflush` must read to remove everything of Felix's from what `iptables-save` printed.
///
/// None when there is nothing. Rules of others stay, in their order.
#[must_use]
pub fn removal(save: &str) -> Option<String> {
    let mut input = String::new();
    let mut table = Table::default();
    for line in save.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('*') {
            table = Table { name, ..Table::default() };
        } else if let Some(chain) = line.strip_prefix(':') {
            table.chains.extend(chain.split_whitespace().next().filter(|name| is_chain(name)));
        } else if let Some(rule) = line.strip_prefix("-A ") {
            if table.is_to_be_deleted(rule) {
                table.rules.push(rule);
            }
        } else if line == "COMMIT" {
            table.write(&mut input);
            table = Table::default();
        }
    }
    (!input.is_empty()).then_some(input)
}

/// What of one table is to go.
#[derive(Default)]
struct Table<'a> {
    name: &'a str,
    chains: Vec<&'a str>,
    rules: Vec<&'a str>,
}

// === impl Table ===

impl Table<'_> {
    /// True for a rule in a chain of others' that Felix put there.
    fn is_to_be_deleted(&self, rule: &str) -> bool {
        let mut words = rule.split_whitespace();
        let chain = words.next().unwrap_or_default();
        if is_chain(chain) {
            return false;
        }
        let words: Vec<&str> = words.collect();
        let jumps = words.windows(2).any(|pair| matches!(pair[0], "-j" | "-g") && is_chain(pair[1]));
        // The agent written in Python put these into the chain itself.
        let python = self.name == "nat"
            && chain == "POSTROUTING"
            && (words.contains(&"felix-masq-ipam-pools")
                || (words.contains(&"tunl0")
                    && words.contains(&"addrtype")
                    && words.contains(&"MASQUERADE")));
        jumps || python
    }

    fn write(&self, input: &mut String) {
        if self.chains.is_empty() && self.rules.is_empty() {
            return;
        }
        let mut line = |text: std::fmt::Arguments<'_>| {
            input.write_fmt(text).expect("writing to memory does not fail");
            input.push('\n');
        };
        line(format_args!("*{}", self.name));
        // Naming a chain empties it, so that none refers to another when they are deleted.
        for chain in &self.chains {
            line(format_args!(":{chain} - [0:0]"));
        }
        for rule in &self.rules {
            line(format_args!("-D {rule}"));
        }
        for chain in &self.chains {
            line(format_args!("-X {chain}"));
        }
        line(format_args!("COMMIT"));
    }
}

// === removing ===

/// Removes Felix's iptables rules and ipsets, in whatever format this machine has programs for.
pub fn clean(tools: &mut impl Tools) -> Cleaned {
    let mut cleaned = Cleaned::default();
    for format in FORMATS {
        let save = match tools.run(&format!("{format}-save"), &[], "") {
            Ok(save) => save,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                cleaned.failed.push(error.to_string());
                continue;
            }
        };
        let Some(input) = removal(&save) else { continue };
        match tools.run(&format!("{format}-restore"), &["--noflush"], &input) {
            Ok(_) => cleaned.removed.push(format!("Felix's rules and chains in {format}")),
            Err(error) => cleaned.failed.push(error.to_string()),
        }
    }
    clean_sets(tools, &mut cleaned);
    cleaned
}

fn clean_sets(tools: &mut impl Tools, cleaned: &mut Cleaned) {
    let list = match tools.run("ipset", &["list", "-n"], "") {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => return cleaned.failed.push(error.to_string()),
    };
    for set in list.lines().map(str::trim).filter(|set| is_set(set)) {
        match tools.run("ipset", &["destroy", set], "") {
            Ok(_) => cleaned.removed.push(format!("ipset {set}")),
            Err(error) => cleaned.failed.push(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
