//! Programmes, policies and profiles as chains.

use std::collections::BTreeMap;
use std::sync::Arc;

use margay_intent::{Action, Direction, Policy, PolicyId, Profile, ProfileId, Rule, TierEnd};
use margay_kernel::nft::{CtState, Limit, Load, LogLevel, LogTarget, Name, Op, Statement, Unit, Verdict};
use margay_net::IpVersion;

use super::fixed::{FixedSet, icmp6_types};
use super::{Builder, Rendered, matching};
use crate::config::Config;
use crate::names::{ChainKey, Flavour, ProgramKey, ProgramKind};

/// The longest prefix of a log line, with its `: `.
const LONGEST_PREFIX: usize = 127;

/// What chains are made from.
pub(crate) struct Source<'a> {
    /// The policies that are known.
    pub(crate) policies: &'a BTreeMap<PolicyId, Arc<Policy>>,
    /// The profiles that are known.
    pub(crate) profiles: &'a BTreeMap<ProfileId, Arc<Profile>>,
    /// The parameters.
    pub(crate) config: &'a Config,
}

// === impl Source ===

impl Source<'_> {
    /// The rules of a chain.
    pub(crate) fn render(&self, key: &ChainKey, name: &Name) -> Rendered {
        let mut chain = Builder::new(name);
        match key {
            ChainKey::Program(program) => self.program(&mut chain, program),
            ChainKey::Policy { id, direction, flavour, rest } => match self.policies.get(id) {
                Some(policy) => {
                    let pass = rest.clone().map(ChainKey::Program);
                    self.rules(&mut chain, policy.rules(*direction), *flavour, &Pass::Policy(pass));
                }
                None => chain.drop(&format!("policy {id} is not there")),
            },
            ChainKey::Profile { id, direction } => match self.profiles.get(id) {
                Some(profile) => {
                    self.rules(&mut chain, profile.rules(*direction), Flavour::Normal, &Pass::Profile);
                }
                None => chain.drop(&format!("profile {id} is not there")),
            },
        }
        chain.finish()
    }

    /// A chain that lets nothing through, in the place of one that the kernel refuses.
    pub(crate) fn refused(name: &Name) -> Rendered {
        let mut chain = Builder::new(name);
        chain.drop("the kernel refuses the rules of this chain");
        chain.finish()
    }

    fn program(&self, chain: &mut Builder, program: &Arc<ProgramKey>) {
        if program.entry {
            self.opening(chain, program.kind);
        }
        let direction = program.kind.direction();
        let flavour = program.kind.flavour();
        for (index, tier) in program.tiers.iter().enumerate() {
            for id in &tier.policies {
                let passes = flavour == Flavour::Normal
                    && self.policies.get(id).is_some_and(|policy| passes(policy, direction));
                let rest = passes.then(|| Arc::new(program.rest(index)));
                let key = ChainKey::Policy { id: id.clone(), direction, flavour, rest };
                let target = chain.uses_chain(key);
                chain.rule(vec![Statement::Verdict(Verdict::Jump(target))], "");
            }
            if flavour == Flavour::Normal && tier.end == TierEnd::Deny {
                return chain.drop(&format!("end of tier {}", tier.name));
            }
        }
        if flavour != Flavour::Normal {
            return;
        }
        for id in &program.profiles {
            let target = chain.uses_chain(ChainKey::Profile { id: id.clone(), direction });
            chain.rule(vec![Statement::Verdict(Verdict::Jump(target))], "");
        }
        chain.drop("no profile decided");
    }

    /// What stands before the policies: known connections, and what a host never closes.
    fn opening(&self, chain: &mut Builder, kind: ProgramKind) {
        use FixedSet::{FailsafeIn, FailsafeOut};
        match kind {
            ProgramKind::WorkloadIn | ProgramKind::WorkloadOut => self.known_connections(chain),
            ProgramKind::HostIn | ProgramKind::PreDnat => {
                self.known_connections(chain);
                failsafe(chain, Load::Dport, FailsafeIn);
                neighbour_discovery(chain, self.config);
            }
            ProgramKind::HostOut => {
                self.known_connections(chain);
                failsafe(chain, Load::Dport, FailsafeOut);
                neighbour_discovery(chain, self.config);
            }
            ProgramKind::UntrackedIn => {
                failsafe(chain, Load::Dport, FailsafeIn);
                failsafe(chain, Load::Sport, FailsafeOut);
                neighbour_discovery(chain, self.config);
            }
            ProgramKind::UntrackedOut => {
                failsafe(chain, Load::Dport, FailsafeOut);
                failsafe(chain, Load::Sport, FailsafeIn);
                neighbour_discovery(chain, self.config);
            }
        }
    }

    fn known_connections(&self, chain: &mut Builder) {
        let known = CtState::ESTABLISHED | CtState::RELATED;
        chain.rule(vec![Statement::ct_state(known), Statement::Verdict(Verdict::Accept)], "");
        if !self.config.accept_invalid {
            let invalid = Statement::ct_state(CtState::INVALID);
            chain.rule(vec![invalid, Statement::Verdict(Verdict::Drop)], "");
        }
    }

    fn rules(&self, chain: &mut Builder, rules: &[Rule], flavour: Flavour, pass: &Pass) {
        for rule in rules {
            chain.uses_sets(matching::sets(rule));
            for mut statements in matching::criteria(rule) {
                statements.extend(self.outcome(chain, rule, flavour, pass));
                chain.rule(statements, "");
            }
        }
    }

    /// What a rule does with a packet that fulfils its criteria.
    fn outcome(&self, chain: &mut Builder, rule: &Rule, flavour: Flavour, pass: &Pass) -> Vec<Statement> {
        let mut statements = Vec::with_capacity(4);
        if self.config.rule_counters || rule.action == Action::Deny {
            statements.push(Statement::Counter);
        }
        match (rule.action, flavour) {
            (Action::Allow, Flavour::Normal) => statements.push(Statement::Verdict(Verdict::Accept)),
            (Action::Allow, Flavour::Untracked) => statements.extend([
                Statement::Notrack,
                Statement::mark_set(self.config.mark),
                Statement::Verdict(Verdict::Accept),
            ]),
            (Action::Allow, Flavour::PreDnat) => {
                statements
                    .extend([Statement::mark_set(self.config.mark), Statement::Verdict(Verdict::Accept)]);
            }
            (Action::Deny, _) => statements.push(Statement::Verdict(Verdict::Drop)),
            (Action::Pass, _) => statements.push(Statement::Verdict(match (pass, flavour) {
                (Pass::Policy(Some(rest)), Flavour::Normal) => Verdict::Goto(chain.uses_chain(rest.clone())),
                // A policy is asked whether it passes before its chain is named; without a rest nothing may be opened.
                (Pass::Policy(None), Flavour::Normal) => Verdict::Drop,
                // Nothing comes after the list: the packet goes on to the next base chain, unmarked.
                (Pass::Policy(_) | Pass::Profile, Flavour::Untracked | Flavour::PreDnat) => Verdict::Accept,
                // COMPAT(profile pass): upstream leaves a profile at any `pass` rule after an earlier pass, matching
                // or not.
                (Pass::Profile, Flavour::Normal) => Verdict::Return,
            })),
            (Action::Log, _) => {
                statements.extend(self.config.log_limit.map(|limit| {
                    Statement::Limit(Limit {
                        rate: u64::from(limit.per_second),
                        per: Unit::Second,
                        burst: limit.burst,
                        over: false,
                    })
                }));
                statements.push(Statement::Log(LogTarget::Kernel(LogLevel::Notice), self.log_prefix(rule)));
            }
        }
        statements
    }

    /// What a log line begins with.
    ///
    /// COMPAT(log prefix): upstream ignores the rule's own `log_prefix`.
    fn log_prefix(&self, rule: &Rule) -> Arc<str> {
        let own =
            rule.log_prefix.as_deref().filter(|prefix| self.config.rule_log_prefix && !prefix.is_empty());
        let mut text: String = own
            .unwrap_or(&self.config.log_prefix)
            .chars()
            .filter(|character| (' '..='~').contains(character) && *character != '"')
            .collect();
        text.truncate(LONGEST_PREFIX - 2);
        text.push_str(": ");
        text.into()
    }
}

/// Where `pass` goes.
enum Pass {
    /// To what comes after the policy's tier.
    Policy(Option<ChainKey>),
    /// To the next profile.
    Profile,
}

/// What stands in a set of failsafe ports is let through.
pub(super) fn failsafe(chain: &mut Builder, port: Load, set: FixedSet) {
    let listed = Statement::Lookup(vec![Load::L4Proto, port], Op::Eq, (&set.name()).into());
    chain.rule(vec![listed, Statement::Verdict(Verdict::Accept)], "failsafe");
}

/// COMPAT(neighbour-failsafe): upstream's failsafe has no ICMPv6, so that IPv6 dies behind a host endpoint
/// whose policy does not think of it.
pub(super) fn neighbour_discovery(chain: &mut Builder, config: &Config) {
    if config.failsafe_neighbour_discovery {
        let mut statements = icmp6_types(&[133, 134, 135, 136, 137]);
        statements.push(Statement::Verdict(Verdict::Accept));
        chain.rule(statements, "failsafe neighbour discovery");
    }
}

/// True when a rule of that direction passes.
pub(crate) fn passes(policy: &Policy, direction: Direction) -> bool {
    policy.rules(direction).iter().any(|rule| rule.action == Action::Pass)
}

/// Statements that hold for packets of that version.
pub(crate) fn of(version: IpVersion, rest: impl IntoIterator<Item = Statement>) -> Vec<Statement> {
    std::iter::once(Statement::version(version)).chain(rest).collect()
}
