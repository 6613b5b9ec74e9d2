//! [`resolve`]: which of several sources counts (`spec/agent.md` 2.1).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use super::{Effect, FileTexts, Host, Name, Parameter, Source, TABLE, Value};

/// Every text that a source gives, by name as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// The configuration file.
    pub file: FileTexts,
    /// The datastore, for this host.
    pub per_host: BTreeMap<String, String>,
    /// The datastore, for all hosts.
    pub global: BTreeMap<String, String>,
}

/// One parameter's value and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The value.
    pub value: Value,
    /// The source.
    pub source: Source,
}

/// All parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// One for each row of [`TABLE`], in its order.
    settings: Vec<Setting>,
    /// Texts under names that nobody knows.
    unknown: BTreeMap<String, (String, Source)>,
}

/// Something that people should hear once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    /// A name that is no parameter.
    Unknown(String, Source),
    /// A parameter of this host alone stands in the datastore.
    LocalOnly(Name, Source),
    /// A value that cannot be read; the default counts.
    Replaced(Name, Source, String),
    /// The name stands twice in one source, in different letter case or not; the last counts.
    Twice(Name, Source),
    /// It is set, and has no effect here.
    Meaningless(Name, &'static str),
}

/// A value that the agent does not start with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter {} from {from}: {what}", .name.text())]
pub struct ResolveError {
    /// The parameter.
    pub name: Name,
    /// Where the value comes from.
    pub from: Source,
    /// What is wrong with it.
    pub what: String,
}

/// The parameters in an environment: `FELIX_NAME` in any letter case, the name behind the first underscore.
#[must_use]
pub fn of_environment(env: &BTreeMap<String, OsString>) -> Vec<(String, String)> {
    let felix = |name: &str| {
        let (prefix, rest) = name.split_once('_')?;
        prefix.eq_ignore_ascii_case("felix").then(|| rest.to_ascii_lowercase())
    };
    env.iter().filter_map(|(name, value)| Some((felix(name)?, value.to_str()?.to_owned()))).collect()
}

/// The parameters that several sources give, and what is to be said about them.
///
/// # Errors
/// A value that must be good is not.
pub fn resolve(texts: &Texts, host: Host<'_>) -> Result<(Parameters, Vec<Notice>), ResolveError> {
    let mut parameters = Parameters::defaults(host);
    let mut notices = Vec::new();
    // Weakest first, so that the strongest is the last word. COMPAT(parameter-case): names are canonical before
    // sources are compared; upstream lets a name in other letter case win over the environment.
    let mut given: Vec<Option<(Source, &str)>> = vec![None; TABLE.len()];
    for (source, entries) in texts.by_source() {
        let mut seen = vec![false; TABLE.len()];
        for (name, text) in entries.into_iter().filter(|(_, text)| !text.is_empty()) {
            let Some(row) = Parameter::find(name) else {
                parameters.unknown.insert(name.to_owned(), (text.to_owned(), source));
                notices.push(Notice::Unknown(name.to_owned(), source));
                continue;
            };
            if row.flags.local && !source.is_local() {
                notices.push(Notice::LocalOnly(row.name, source));
                continue;
            }
            let index = row.name as usize;
            if std::mem::replace(&mut seen[index], true) {
                notices.push(Notice::Twice(row.name, source));
            }
            given[index] = Some((source, text));
        }
    }
    for (row, (source, text)) in TABLE.iter().zip(given).filter_map(|(row, given)| Some((row, given?))) {
        if let Effect::Meaningless(why) = row.effect {
            notices.push(Notice::Meaningless(row.name, why));
        }
        let value = read(row, source, text, host, &mut notices)?;
        parameters.settings[row.name as usize] = Setting { value, source };
    }
    Ok((parameters, notices))
}

fn read(
    row: &Parameter,
    source: Source,
    text: &str,
    host: Host<'_>,
    notices: &mut Vec<Notice>,
) -> Result<Value, ResolveError> {
    let refuse = |what: String| Err(ResolveError { name: row.name, from: source, what });
    if text.eq_ignore_ascii_case("none") {
        return match row.flags.non_zero {
            true => refuse("it cannot be set to none".to_owned()),
            false => Ok(Value::zero(row.kind)),
        };
    }
    match Value::parse(row.kind, text, host) {
        Ok(value) => Ok(value),
        Err(error) if row.flags.die => refuse(error.what),
        Err(error) => {
            notices.push(Notice::Replaced(row.name, source, error.what));
            Ok(Value::of_default(row, host))
        }
    }
}

// === impl Texts ===

impl Texts {
    /// The sources with their names and texts, weakest first.
    fn by_source(&self) -> [(Source, Vec<(&str, &str)>); 4] {
        fn of<'a>(entries: impl Iterator<Item = (&'a String, &'a String)>) -> Vec<(&'a str, &'a str)> {
            entries.map(|(name, text)| (name.as_str(), text.as_str())).collect()
        }
        [
            (Source::Global, of(self.global.iter())),
            (Source::PerHost, of(self.per_host.iter())),
            (Source::File, of(self.file.entries.iter().map(|(name, text)| (name, text)))),
            (Source::Environment, of(self.environment.iter().map(|(name, text)| (name, text)))),
        ]
    }
}

// === impl Name ===

impl Name {
    /// Its row.
    #[must_use]
    pub fn row(self) -> &'static Parameter {
        &TABLE[self as usize]
    }

    /// The name as it is written.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.row().text
    }
}

// === impl Parameters ===

impl Parameters {
    /// What holds when nobody says anything.
    #[must_use]
    pub fn defaults(host: Host<'_>) -> Self {
        let of_row = |row: &Parameter| match row.name {
            Name::FelixHostname => Value::Text(host.name.to_owned()),
            _ => Value::of_default(row, host),
        };
        let setting = |row| Setting { value: of_row(row), source: Source::Default };
        Self { settings: TABLE.iter().map(setting).collect(), unknown: BTreeMap::new() }
    }

    /// A parameter's value.
    #[must_use]
    pub fn value(&self, name: Name) -> &Value {
        &self.settings[name as usize].value
    }

    /// Where a parameter's value comes from.
    #[must_use]
    pub fn source(&self, name: Name) -> Source {
        self.settings[name as usize].source
    }

    /// True when somebody says something about it.
    #[must_use]
    pub fn is_set(&self, name: Name) -> bool {
        self.source(name) != Source::Default
    }

    /// Takes a parameter over from others.
    pub(crate) fn keep(&mut self, name: Name, from: &Self) {
        self.settings[name as usize] = from.settings[name as usize].clone();
    }

    /// The texts under names that are no parameters.
    pub fn unknown(&self) -> impl Iterator<Item = (&str, &str, Source)> {
        self.unknown.iter().map(|(name, (text, source))| (name.as_str(), text.as_str(), *source))
    }

    /// The parameters whose values differ.
    #[must_use]
    pub fn changed(&self, other: &Self) -> Vec<Name> {
        let differs = |row: &&Parameter| self.value(row.name) != other.value(row.name);
        TABLE.iter().filter(differs).map(|row| row.name).collect()
    }
}

// === impl Notice ===

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name, source) => write!(f, "ignoring unknown parameter {name:?} from {source}"),
            Self::LocalOnly(name, source) => {
                write!(f, "ignoring local-only parameter {} from {source}", name.text())
            }
            Self::Replaced(name, source, what) => {
                let default = name.row().default;
                write!(
                    f,
                    "replacing invalid value of {} from {source} with default {default:?}: {what}",
                    name.text()
                )
            }
            Self::Twice(name, source) => {
                write!(f, "{} stands more than once in {source}; the last counts", name.text())
            }
            Self::Meaningless(name, why) => write!(f, "{} has no effect here: {why}", name.text()),
        }
    }
}
