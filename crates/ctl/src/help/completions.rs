//! Scripts that complete command lines in bash, zsh and fish, written from the command table.
//!
//! Words of the table stand in the scripts; names that live in the datastore come from `margay complete -- WORDS`.

mod bourne;
mod fish;

use crate::grammar::{
    Audience, CommandSpec, Entry, GroupSpec, Offer, OptionSpec, Program, Shell, TOP, Word, entries, scan,
};

/// Every program that the scripts complete for.
const PROGRAMS: [Program; 2] = [Program::Margay, Program::Calicoctl];

/// The script for `shell`.
pub(crate) fn completions(shell: Shell) -> String {
    match shell {
        Shell::Bash => bourne::bash(),
        Shell::Zsh => bourne::zsh(),
        Shell::Fish => fish::script(),
    }
}

/// The names in the datastore that `margay complete` should print.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Names of the resources of this kind, as typed.
    Names {
        /// KIND.
        kind: String,
    },
    /// Names of nodes.
    Nodes,
    /// Full names of endpoints.
    Endpoints,
}

/// What the last of `words` may be completed to from the datastore, if anything.
///
/// `words` are those behind the program's name; the last one is being typed and may be empty.
pub(crate) fn wanted(words: &[String]) -> Option<Wanted> {
    let (typed, before) = words.split_last()?;
    let leaf = leaf_of(before)?;
    let specs: Vec<&'static OptionSpec> = leaf.options().collect();
    let before = before.get(leaf.path.len()..)?;
    if let Some(last) = before.last() {
        let named = specs.iter().find(|spec| spec.value.is_some() && spelled(spec).contains(last));
        if let Some(spec) = named {
            return (spec.offer == Offer::Node).then_some(Wanted::Nodes);
        }
    }
    if typed.starts_with('-') {
        return None;
    }
    let scanned = scan(before, &specs, leaf.spec.words).ok()?;
    let place = scanned.words.len();
    let offers = |wanted: Offer| {
        leaf.spec.forms.iter().any(|form| {
            matches!(form.words.get(place), Some(Word::Required(_, offer) | Word::Optional(_, offer)) if *offer == wanted)
        })
    };
    if offers(Offer::Endpoint) {
        return Some(Wanted::Endpoints);
    }
    if !offers(Offer::Name) {
        return None;
    }
    Some(Wanted::Names { kind: scanned.words.first()?.clone() })
}

fn leaf_of(words: &[String]) -> Option<Leaf> {
    leaves(Program::Margay)
        .into_iter()
        .find(|leaf| leaf.path.len() <= words.len() && leaf.path.iter().zip(words).all(|(a, b)| a == b))
}

/// A command with the words that lead to it.
struct Leaf {
    program: Program,
    path: Vec<&'static str>,
    spec: &'static CommandSpec,
}

// === impl Leaf ===

impl Leaf {
    fn options(&self) -> impl Iterator<Item = &'static OptionSpec> {
        let program = self.program;
        self.spec.options.iter().filter(move |option| program.shows(option.audience))
    }

    /// Every spelling of every option.
    fn option_words(&self) -> Vec<String> {
        self.options().flat_map(spelled).collect()
    }

    /// Every spelling of the options that take a value.
    fn valued_option_words(&self) -> Vec<String> {
        self.options().filter(|option| option.value.is_some()).flat_map(spelled).collect()
    }

    /// What the table offers for each place, in order; several forms add up.
    fn places(&self) -> Vec<Vec<Offer>> {
        let count = self.spec.forms.iter().map(|form| form.words.len()).max().unwrap_or(0);
        (0..count)
            .map(|place| {
                let mut offers = Vec::new();
                for form in self.spec.forms {
                    let offer = match form.words.get(place) {
                        Some(Word::Literal(literal)) => Offer::Literal(literal),
                        Some(Word::Required(_, offer) | Word::Optional(_, offer)) => *offer,
                        None => Offer::Nothing,
                    };
                    if offer != Offer::Nothing && !offers.contains(&offer) {
                        offers.push(offer);
                    }
                }
                offers
            })
            .collect()
    }
}

/// `--long`, and `-x` if there is one.
fn spelled(option: &'static OptionSpec) -> Vec<String> {
    let long = format!("--{}", option.long);
    option.short.map(|short| format!("-{short}")).into_iter().chain([long]).collect()
}

/// Every command that help shows.
fn leaves(program: Program) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    for entry in shown(&TOP, program) {
        match entry {
            Entry::Command(spec) => leaves.push(Leaf { program, path: vec![spec.name], spec }),
            Entry::Group(group) => leaves.extend(shown(group, program).filter_map(|member| match member {
                Entry::Command(spec) => Some(Leaf { program, path: vec![group.name, spec.name], spec }),
                Entry::Group(_) => None,
            })),
        }
    }
    leaves
}

/// The groups below the top that help shows.
fn groups(program: Program) -> Vec<&'static GroupSpec> {
    shown(&TOP, program)
        .filter_map(|entry| match entry {
            Entry::Group(group) => Some(group),
            Entry::Command(_) => None,
        })
        .collect()
}

fn shown(group: &'static GroupSpec, program: Program) -> impl Iterator<Item = Entry> {
    entries(group, program).filter(|entry| entry.audience() != Audience::Hidden)
}

/// The words of the members of a group.
fn member_words(group: &'static GroupSpec, program: Program) -> Vec<&'static str> {
    shown(group, program).map(Entry::name).collect()
}

#[cfg(test)]
mod tests;
