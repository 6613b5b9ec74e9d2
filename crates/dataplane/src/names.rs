//! What our objects are called, made from what they are: the same today, tomorrow and after a restart.
//!
//! A name is a readable beginning and a hash of the whole key, at most 64 bytes (the kernel before 4.14 took 31; we ask
//! for more), of the characters that `nft` reads without quotes.

use std::sync::Arc;

use margay_intent::{Direction, PolicyId, ProfileId, Program, SetId, Tier};
use margay_kernel::nft::Name;
use margay_net::IpVersion;
use sha2::{Digest, Sha256};

/// The longest readable part of a name.
const READABLE: usize = 32;

/// What a programme is for: which conversation it opens with, and what `allow` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ProgramKind {
    /// To a workload.
    WorkloadIn,
    /// From a workload.
    WorkloadOut,
    /// Into the host.
    HostIn,
    /// Out of the host.
    HostOut,
    /// Into the host before connection tracking.
    UntrackedIn,
    /// Out of the host before connection tracking.
    UntrackedOut,
    /// Into the host before destination NAT.
    PreDnat,
}

/// What a policy's verdicts mean where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Flavour {
    /// Allow ends the base chain.
    Normal,
    /// Allow also takes the packet out of connection tracking and marks it.
    Untracked,
    /// Allow also marks the packet.
    PreDnat,
}

/// The key of a programme chain. Two endpoints with equal keys share the chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ProgramKey {
    /// What it is for.
    pub(crate) kind: ProgramKind,
    /// False for what is left after a `pass`: the conversation has been opened already.
    pub(crate) entry: bool,
    /// The tiers to run.
    pub(crate) tiers: Vec<Tier>,
    /// Then the profiles.
    pub(crate) profiles: Vec<ProfileId>,
}

/// The key of a chain that depends on intents.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ChainKey {
    /// A programme.
    Program(Arc<ProgramKey>),
    /// One direction of a policy.
    Policy {
        /// Which.
        id: PolicyId,
        /// Which list of its rules.
        direction: Direction,
        /// What its verdicts mean.
        flavour: Flavour,
        /// Where `pass` goes; none when no rule passes, or when `pass` needs no chain.
        rest: Option<Arc<ProgramKey>>,
    },
    /// One direction of a profile.
    Profile {
        /// Which.
        id: ProfileId,
        /// Which list of its rules.
        direction: Direction,
    },
}

// === impl ProgramKind ===

impl ProgramKind {
    /// The way the packets go.
    pub(crate) fn direction(self) -> Direction {
        match self {
            Self::WorkloadIn | Self::HostIn | Self::UntrackedIn | Self::PreDnat => Direction::Ingress,
            Self::WorkloadOut | Self::HostOut | Self::UntrackedOut => Direction::Egress,
        }
    }

    /// What verdicts mean.
    pub(crate) fn flavour(self) -> Flavour {
        match self {
            Self::WorkloadIn | Self::WorkloadOut | Self::HostIn | Self::HostOut => Flavour::Normal,
            Self::UntrackedIn | Self::UntrackedOut => Flavour::Untracked,
            Self::PreDnat => Flavour::PreDnat,
        }
    }

    /// What the names of its chains begin with.
    fn prefix(self) -> &'static str {
        match self {
            Self::WorkloadIn => "wi",
            Self::WorkloadOut => "wo",
            Self::HostIn => "hi",
            Self::HostOut => "ho",
            Self::UntrackedIn => "ui",
            Self::UntrackedOut => "uo",
            Self::PreDnat => "dn",
        }
    }
}

// === impl ProgramKey ===

impl ProgramKey {
    /// The programme that an endpoint enters.
    pub(crate) fn entry(kind: ProgramKind, program: &Program) -> Self {
        Self { kind, entry: true, tiers: program.tiers.clone(), profiles: program.profiles.clone() }
    }

    /// What is left after a `pass` in the tier of that index.
    pub(crate) fn rest(&self, tier: usize) -> Self {
        Self {
            kind: self.kind,
            entry: false,
            tiers: self.tiers[tier + 1..].to_vec(),
            profiles: self.profiles.clone(),
        }
    }

    /// The first policy or profile, for people.
    fn headline(&self) -> &str {
        let policy = self.tiers.iter().flat_map(|tier| &tier.policies).next().map(|policy| &*policy.name);
        policy.or_else(|| self.profiles.first().map(ProfileId::as_str)).unwrap_or("none")
    }

    fn digest(&self, hash: &mut Fingerprint) {
        hash.text(self.kind.prefix());
        hash.number(u64::from(self.entry));
        hash.number(self.tiers.len() as u64);
        for tier in &self.tiers {
            hash.text(&tier.name);
            hash.number(tier.end as u64);
            hash.number(tier.policies.len() as u64);
            for policy in &tier.policies {
                hash.text(&policy.name);
                hash.text(&policy.tier);
            }
        }
        for profile in &self.profiles {
            hash.text(profile.as_str());
        }
    }
}

// === impl ChainKey ===

impl ChainKey {
    /// The chain's name.
    pub(crate) fn name(&self) -> Name {
        let mut hash = Fingerprint::default();
        let (prefix, readable) = match self {
            Self::Program(program) => {
                program.digest(&mut hash);
                (program.kind.prefix(), program.headline())
            }
            Self::Policy { id, direction, flavour, rest } => {
                hash.text(&id.name);
                hash.text(&id.tier);
                if let Some(rest) = rest {
                    rest.digest(&mut hash);
                }
                (policy_prefix(*direction, *flavour), &*id.name)
            }
            Self::Profile { id, direction } => {
                hash.text(id.as_str());
                let prefix = match direction {
                    Direction::Ingress => "fi",
                    Direction::Egress => "fo",
                };
                (prefix, id.as_str())
            }
        };
        made_of(prefix, readable, &hash.hex())
    }
}

/// What the names of a policy's chains begin with.
fn policy_prefix(direction: Direction, flavour: Flavour) -> &'static str {
    match (direction, flavour) {
        (Direction::Ingress, Flavour::Normal) => "pi",
        (Direction::Egress, Flavour::Normal) => "po",
        (Direction::Ingress, Flavour::Untracked) => "pui",
        (Direction::Egress, Flavour::Untracked) => "puo",
        (Direction::Ingress | Direction::Egress, Flavour::PreDnat) => "pd",
    }
}

// === names ===

/// A name that is written in the code.
pub(crate) fn fixed(name: &'static str) -> Name {
    name.parse().expect("it is of letters and underscores")
}

/// The name of one family's half of a selector's set.
///
/// The id itself, where it is as our own ids are; else a hash of it.
pub(crate) fn of_set(id: &SetId, version: IpVersion) -> Name {
    let number = version.number();
    match id.as_str().strip_prefix("s:") {
        Some(id) if !id.is_empty() && id.len() <= 40 && id.chars().all(is_plain) => {
            format!("s{number}-{id}").parse().expect("a letter, and then plain characters")
        }
        Some(_) | None => {
            let mut hash = Fingerprint::default();
            hash.text(id.as_str());
            made_of(&format!("sx{number}"), id.as_str(), &hash.hex())
        }
    }
}

/// A name of a prefix, a readable part and a hash.
fn made_of(prefix: &str, readable: &str, hash: &str) -> Name {
    let mut name = String::with_capacity(64);
    name.push_str(prefix);
    name.push('-');
    for character in readable.chars().take(READABLE) {
        name.push(if is_plain(character) { character } else { '_' });
    }
    name.push('-');
    name.push_str(hash);
    name.parse().expect("a letter, and then plain characters")
}

/// True for the characters that `nft` takes inside a name without quotes.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
}

/// A hash of a sequence of values, each told apart from the next.
#[derive(Default)]
pub(crate) struct Fingerprint(Sha256);

// === impl Fingerprint ===

impl Fingerprint {
    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    /// The first 80 bits.
    pub(crate) fn hex(self) -> String {
        self.0.finalize()[..10].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests;
