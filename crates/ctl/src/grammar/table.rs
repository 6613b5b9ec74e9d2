//! The one table of commands and options: what parsing, usage, help, completions and the man page are made from.

mod host;
mod ipam;
mod options;
mod person;
mod upstream;

use super::command::Command;
use super::{Problem, Program};
use margay_client::ExitCode;

pub(crate) use upstream::TOP;

/// Who is offered a command or an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Both programs.
    Everyone,
    /// `calicoctl` alone: `margay` has one of the same name that does more.
    Calicoctl,
    /// `margay` alone.
    Margay,
    /// `margay` alone, and no help mentions it.
    Hidden,
}

/// How the arguments of a command are cut up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// Options and words in any order.
    Mixed,
    /// The first word ends the options.
    EndOptions,
    /// Everything is a word.
    Verbatim,
}

/// What may stand where a value is expected; completions offer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Nothing to offer.
    Nothing,
    /// A path.
    File,
    /// Exactly this.
    Literal(&'static str),
    /// One of these.
    Words(&'static [&'static str]),
    /// The name of a node, read from the datastore.
    Node,
    /// The name of a resource of the KIND given before, read from the datastore.
    Name,
    /// The full name of an endpoint, read from the datastore.
    Endpoint,
}

/// One option.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OptionSpec {
    /// The letter of the short form.
    pub(crate) short: Option<char>,
    /// The long form without its dashes.
    pub(crate) long: &'static str,
    /// The placeholder of the value, if it takes one.
    pub(crate) value: Option<&'static str>,
    /// The value if the option is left out.
    pub(crate) default: Option<&'static str>,
    /// What help says; line breaks of its own are kept.
    pub(crate) text: &'static str,
    /// Who is offered it.
    pub(crate) audience: Audience,
    /// What completions offer for the value.
    pub(crate) offer: Offer,
    /// It may be given several times.
    pub(crate) repeats: bool,
}

/// One place for a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Exactly this; stands in front of the other places.
    Literal(&'static str),
    /// Anything, and it has to be there.
    Required(&'static str, Offer),
    /// Anything or nothing; stands behind the other places.
    Optional(&'static str, Offer),
}

/// One way to call a command.
#[derive(Debug)]
pub(crate) struct Form {
    /// The words, in order.
    pub(crate) words: &'static [Word],
    /// Options that have to be there.
    pub(crate) required: &'static [&'static str],
    /// Options that must not be there.
    pub(crate) forbidden: &'static [&'static str],
}

/// One command.
pub(crate) struct CommandSpec {
    /// The last word of its name.
    pub(crate) name: &'static str,
    /// Who is offered it.
    pub(crate) audience: Audience,
    /// Its line in the help above it; line breaks of its own are kept.
    pub(crate) summary: &'static str,
    /// The patterns behind the program's name; further lines count from there.
    pub(crate) usage: &'static [&'static str],
    /// The patterns of `margay`, if they differ.
    pub(crate) margay_usage: Option<&'static [&'static str]>,
    /// How arguments are cut up.
    pub(crate) words: Words,
    /// The options, in the order in which prefixes are listed.
    pub(crate) options: &'static [OptionSpec],
    /// The ways to call it, tried in order.
    pub(crate) forms: &'static [Form],
    /// What help says at the end; `{program}` stands for the name.
    pub(crate) description: &'static str,
    /// The exit status of arguments that do not fit; other than 1 where 1 is an answer, and stdout stays empty then.
    pub(crate) refused: ExitCode,
    /// Makes the typed command.
    pub(crate) build: fn(&Values) -> Result<Command, Problem>,
}

/// A command with sub commands.
pub(crate) struct GroupSpec {
    /// Its name; empty at the top.
    pub(crate) name: &'static str,
    /// Who is offered it.
    pub(crate) audience: Audience,
    /// Its line in the help above it.
    pub(crate) summary: &'static str,
    /// Text in front of the usage.
    pub(crate) preface: &'static str,
    /// The usage pattern behind the program's name.
    pub(crate) usage: &'static str,
    /// The members, in the order of the help.
    pub(crate) entries: &'static [Entry],
    /// Options in front of the sub command.
    pub(crate) options: &'static [OptionSpec],
    /// The column where summaries start, at least.
    pub(crate) summary_column: usize,
    /// The column where the texts of options start, at least.
    pub(crate) option_column: usize,
    /// What help says at the end.
    pub(crate) description: &'static str,
}

/// A member of a group.
#[derive(Clone, Copy)]
pub(crate) enum Entry {
    /// A command.
    Command(&'static CommandSpec),
    /// A group of them.
    Group(&'static GroupSpec),
}

/// The arguments of a command, sorted into the places of one of its forms.
pub(crate) struct Values {
    pub(super) given: Vec<(&'static OptionSpec, Option<String>)>,
    pub(super) words: Vec<String>,
    pub(super) form: &'static Form,
    pub(super) options: &'static [OptionSpec],
}

/// The kinds as documents spell them: what completions offer for KIND.
pub(crate) const KINDS: &[&str] =
    &["workloadEndpoint", "hostEndpoint", "profile", "policy", "ipPool", "node", "bgpPeer"];

/// The members that `program` accepts, in the order of the help.
pub(crate) fn entries(group: &'static GroupSpec, program: Program) -> impl Iterator<Item = Entry> {
    group.entries.iter().copied().filter(move |entry| program.accepts(entry.audience()))
}

// === impl Word ===

impl Word {
    /// True if the form does not fit without it.
    pub(crate) const fn is_needed(self) -> bool {
        !matches!(self, Self::Optional(..))
    }
}

// === impl Form ===

impl Form {
    /// How many words of the name of the action stand in front.
    pub(crate) fn leading_literals(&self) -> usize {
        self.words.iter().take_while(|word| matches!(word, Word::Literal(_))).count()
    }

    /// The word that chooses this form, if it starts with one.
    pub(super) fn action(&self) -> Option<&'static str> {
        match self.words.first() {
            Some(Word::Literal(literal)) => Some(literal),
            Some(Word::Required(..) | Word::Optional(..)) | None => None,
        }
    }
}

// === impl CommandSpec ===

impl CommandSpec {
    /// The usage patterns of `program`.
    pub(crate) fn usage(&self, program: Program) -> &'static [&'static str] {
        match (program, self.margay_usage) {
            (Program::Margay, Some(usage)) => usage,
            (Program::Calicoctl | Program::Margay, _) => self.usage,
        }
    }
}

// === impl Entry ===

impl Entry {
    /// The word it is called by.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Command(spec) => spec.name,
            Self::Group(spec) => spec.name,
        }
    }

    /// Its line in the help above it.
    pub(crate) const fn summary(self) -> &'static str {
        match self {
            Self::Command(spec) => spec.summary,
            Self::Group(spec) => spec.summary,
        }
    }

    /// Who is offered it.
    pub(crate) const fn audience(self) -> Audience {
        match self {
            Self::Command(spec) => spec.audience,
            Self::Group(spec) => spec.audience,
        }
    }
}

// === impl Values ===

impl Values {
    pub(super) fn value(&self, long: &str) -> Option<&str> {
        self.given.iter().find(|(spec, _)| spec.long == long).and_then(|(_, value)| value.as_deref())
    }

    /// True if the option was given.
    pub(super) fn flag(&self, long: &str) -> bool {
        self.given.iter().any(|(spec, _)| spec.long == long)
    }

    /// The value of an option; an empty one counts as left out.
    pub(super) fn text(&self, long: &str) -> Option<String> {
        self.value(long).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// Every value of an option, in order; empty ones count as left out.
    pub(super) fn texts(&self, long: &str) -> Vec<String> {
        let given = self.given.iter().filter(|(spec, _)| spec.long == long);
        given.filter_map(|(_, value)| value.clone()).filter(|value| !value.is_empty()).collect()
    }

    /// The value of an option, also an empty one, or its default.
    pub(super) fn text_or_default(&self, long: &str) -> String {
        let default = || self.options.iter().find(|spec| spec.long == long).and_then(|spec| spec.default);
        self.value(long).or_else(default).unwrap_or_default().to_owned()
    }

    /// The word at a place, counted behind the literals; an empty one counts.
    pub(super) fn word(&self, index: usize) -> Option<String> {
        self.words.get(index).cloned()
    }

    /// The word that chose the form.
    pub(super) fn action(&self) -> Option<&'static str> {
        self.form.action()
    }
}
