//! What verdicts are worked out from: all values of a datastore, or documents as apply would write them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use margay_intent::{Direction, HostName};
use margay_model::codec;
use margay_model::decode::{Segment, locate};
use margay_model::document::{Located, load};
use margay_model::key::{ProfilePart, directory};
use margay_model::resource::MissingIdentifier;
use margay_model::validate::Scope;
use margay_model::{Key, Resource};
use margay_policy::evaluate::{Records, Settings};
use margay_store::Kv as _;
use margay_text::tree::{Node, NodeValue, Span};

use crate::grammar::ConfigPath;
use crate::input;
use crate::report;
use crate::session::Session;

/// Where policies, profiles and parameters of agents stand in the datastore.
const ROOT: &str = "/calico/v1";

/// Whose rule it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// A policy's.
    Policy,
    /// A profile's.
    Profile,
}

/// Values by their paths, and the records in them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) records: Arc<Records>,
    values: BTreeMap<String, String>,
    /// Where the rules of documents stand, `FILE:LINE`.
    positions: BTreeMap<(Owner, String, Direction, u32), String>,
}

/// Why there are no facts; a person has been told when there is no text.
pub(crate) type Failure = Option<String>;

// === impl Facts ===

impl Facts {
    /// Everything that the datastore holds; `Err` after the person was told.
    pub(crate) fn from_datastore(
        session: &mut Session<'_, '_>,
        config: &ConfigPath,
    ) -> io::Result<Result<Self, Failure>> {
        let client = match session.client(config) {
            Ok(client) => client,
            Err(error) => {
                session.note(&error.text)?;
                session.hints(error.hint)?;
                return Ok(Err(None));
            }
        };
        let mut values = BTreeMap::new();
        let mut visit = |entry: margay_store::kv::EntryRef<'_>| {
            values.insert(entry.key.to_owned(), entry.value.to_owned());
        };
        let listed = session.block_on(client.store().kv().list(ROOT, &mut visit));
        Ok(match listed {
            Ok(_) => Ok(Self::of(values)),
            Err(error) => Err(Some(format!("reading the datastore: {}", error.to_string().trim_end()))),
        })
    }

    /// What values by their paths say.
    pub(crate) fn of(values: BTreeMap<String, String>) -> Self {
        let mut records = Records::default();
        values.iter().for_each(|(path, value)| records.put(path, Some(value)));
        Self { records: Arc::new(records), values, positions: BTreeMap::new() }
    }

    /// Adds the documents of a file, as apply would write them; `Err` after the person was told.
    pub(crate) fn apply_file(
        &mut self,
        session: &mut Session<'_, '_>,
        filename: &str,
    ) -> io::Result<Result<(), Failure>> {
        let bytes = match input::read(session, filename) {
            Ok(bytes) => bytes,
            Err(text) => return Ok(Err(Some(text))),
        };
        let loaded = match load(&bytes, Scope::All) {
            Ok(loaded) => loaded,
            Err(refusal) => {
                report::faults(session, filename, &bytes, &refusal.faults, report::Detail::Excerpts)?;
                return Ok(Err(None));
            }
        };
        let name = if filename == "-" { "<stdin>" } else { filename };
        let trees: Vec<_> = margay_text::read::documents(&bytes).map_while(Result::ok).collect();
        for located in loaded {
            if let Err(missing) = self.apply(&located.resource) {
                let line = located.span.line;
                return Ok(Err(Some(format!("{name}:{line}: metadata.{} is missing", missing.0))));
            }
            let tree = trees.iter().find(|tree| tree.number == located.document);
            let item = tree.and_then(|tree| find(tree.root.as_ref()?, located.span));
            if let Some(item) = item {
                self.note_positions(&located, item, name);
            }
        }
        Ok(Ok(()))
    }

    /// Puts what apply would write for a resource.
    fn apply(&mut self, resource: &Resource) -> Result<(), MissingIdentifier> {
        let mut resource = resource.clone();
        codec::fill_defaults(&mut resource);
        let key = resource.identity()?.key();
        match &resource {
            Resource::Profile(profile) => {
                for part in ProfilePart::ALL {
                    let key = Key::ProfilePart { name: profile.metadata.name.clone(), part };
                    let value = codec::encode_profile_part(profile, part, self.value(&key));
                    self.put(&key, Some(value));
                }
            }
            Resource::Node(node) => {
                for (key, value) in codec::node_parts(node) {
                    self.put(&key, value);
                }
            }
            resource => {
                let value = codec::encode(resource, self.value(&key));
                self.put(&key, value);
            }
        }
        Ok(())
    }

    fn value(&self, key: &Key) -> Option<&str> {
        self.values.get(&key.path()).map(String::as_str)
    }

    fn put(&mut self, key: &Key, value: Option<String>) {
        let path = key.path();
        Arc::make_mut(&mut self.records).put(&path, value.as_deref());
        match value {
            Some(value) => self.values.insert(path, value),
            None => self.values.remove(&path),
        };
    }

    /// Remembers where the rules of a policy or profile stand.
    fn note_positions(&mut self, located: &Located, item: &Node, file: &str) {
        let (owner, name, ingress, egress) = match &located.resource {
            Resource::Policy(d) => (Owner::Policy, &d.metadata.name, &d.spec.ingress, &d.spec.egress),
            Resource::Profile(d) => (Owner::Profile, &d.metadata.name, &d.spec.ingress, &d.spec.egress),
            _ => return,
        };
        for (direction, field, rules) in
            [(Direction::Ingress, "ingress", ingress), (Direction::Egress, "egress", egress)]
        {
            for (index, number) in (0..rules.len()).zip(0_u32..) {
                let path = [Segment::Field("spec"), Segment::Field(field), Segment::Index(index)];
                let line = locate(item, &path).line;
                self.positions.insert((owner, name.clone(), direction, number), format!("{file}:{line}"));
            }
        }
    }

    /// Where a rule stands, if it came from a document.
    pub(crate) fn position(&self, owner: Owner, name: &str, direction: Direction, rule: u32) -> Option<&str> {
        self.positions.get(&(owner, name.to_owned(), direction, rule)).map(String::as_str)
    }

    /// The parameters of a host's agent, as far as the datastore says.
    pub(crate) fn settings(&self, host: &HostName) -> Settings {
        let own = format!("{}/{host}/config", directory::HOSTS);
        let below = |directory: &str| {
            let prefix = format!("{directory}/");
            self.values
                .range(prefix.clone()..)
                .map_while(move |(path, value)| path.strip_prefix(&prefix).map(|name| (name, value.as_str())))
        };
        Settings::from_parameters(below(directory::FELIX_CONFIG).chain(below(&own)))
    }
}

/// The node that stands at a place.
fn find(node: &Node, span: Span) -> Option<&Node> {
    if node.span == span {
        return Some(node);
    }
    match &node.value {
        NodeValue::Scalar(_) => None,
        NodeValue::Sequence(items) => items.iter().find_map(|item| find(item, span)),
        NodeValue::Mapping(members) => members.iter().find_map(|member| find(&member.value, span)),
    }
}
