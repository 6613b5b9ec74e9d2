//! Splits a command line into options and words the way docopt does (`spec/calicoctl.md` 2).

use super::table::{OptionSpec, Words};

/// An option as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// `--long`, or `-x` for an unknown short option.
    pub(crate) name: String,
    /// Its value, if it carried one.
    pub(crate) value: Option<String>,
}

/// A command line in two parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// The options in the order given, unknown ones too.
    pub(crate) options: Vec<Given>,
    /// Everything else.
    pub(crate) words: Vec<String>,
}

/// An option that later arguments may name, also by a prefix.
struct Known {
    short: Option<char>,
    long: Option<String>,
    takes_value: bool,
}

/// The arguments not yet looked at.
struct Rest<'a> {
    args: std::slice::Iter<'a, String>,
}

// === impl Scanned ===

impl Scanned {
    /// True if the option `name` (`--help`) was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|given| given.name == name)
    }
}

// === impl Known ===

impl Known {
    fn name(&self) -> String {
        match (&self.long, self.short) {
            (Some(long), _) => long.clone(),
            (None, Some(short)) => format!("-{short}"),
            (None, None) => String::new(),
        }
    }
}

// === impl Rest ===

impl Rest<'_> {
    /// The next argument as the value of `option`; `--` is never one.
    fn value_of(&mut self, option: &str) -> Result<String, String> {
        match self.args.as_slice().first() {
            None => Err(format!("{option} requires argument")),
            Some(next) if next == "--" => Err(format!("{option} requires argument")),
            Some(next) => {
                self.args.next();
                Ok(next.clone())
            }
        }
    }
}

/// Splits `args`; the error is the line that docopt prints in front of the usage.
pub(crate) fn scan(args: &[String], specs: &[&OptionSpec], words: Words) -> Result<Scanned, String> {
    let mut known: Vec<Known> = specs
        .iter()
        .map(|spec| Known {
            short: spec.short,
            long: Some(format!("--{}", spec.long)),
            takes_value: spec.value.is_some(),
        })
        .collect();
    let mut scanned = Scanned::default();
    let mut rest = Rest { args: args.iter() };
    if words == Words::Verbatim {
        scanned.words = args.to_vec();
        return Ok(scanned);
    }
    while let Some(arg) = rest.args.next() {
        if arg == "--" {
            // COMPAT(docopt): `--` is itself a word, and so is everything behind it.
            scanned.words.push(arg.clone());
            scanned.words.extend(rest.args.cloned());
            break;
        }
        if arg.starts_with("--") {
            scanned.options.push(long(arg, &mut known, &mut rest)?);
        } else if arg.starts_with('-') && arg != "-" {
            shorts(arg, &mut known, &mut rest, &mut scanned.options)?;
        } else if words == Words::EndOptions {
            scanned.words.push(arg.clone());
            scanned.words.extend(rest.args.cloned());
            break;
        } else {
            scanned.words.push(arg.clone());
        }
    }
    Ok(scanned)
}

fn long(arg: &str, known: &mut Vec<Known>, rest: &mut Rest<'_>) -> Result<Given, String> {
    let (name, value) = match arg.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (arg, None),
    };
    let with = |test: &dyn Fn(&str) -> bool| -> Vec<&Known> {
        known.iter().filter(|option| option.long.as_deref().is_some_and(test)).collect()
    };
    let mut similar = with(&|long| long == name);
    if similar.is_empty() {
        similar = with(&|long| long.starts_with(name));
    }
    match similar.as_slice() {
        [] => {
            known.push(Known { short: None, long: Some(name.to_owned()), takes_value: value.is_some() });
            Ok(Given { name: name.to_owned(), value })
        }
        [option] => {
            let name = option.name();
            let value = match (option.takes_value, value) {
                (true, None) => Some(rest.value_of(&name)?),
                (false, Some(_)) => return Err(format!("{name} must not have an argument")),
                (_, value) => value,
            };
            Ok(Given { name, value })
        }
        several => {
            let names: Vec<String> = several.iter().map(|option| option.name()).collect();
            Err(format!("{name} is not a unique prefix: {}?", names.join(", ")))
        }
    }
}

fn shorts(
    arg: &str,
    known: &mut Vec<Known>,
    rest: &mut Rest<'_>,
    options: &mut Vec<Given>,
) -> Result<(), String> {
    let mut left = arg.trim_start_matches('-').chars();
    while let Some(letter) = left.next() {
        let short = format!("-{letter}");
        let Some(option) = known.iter().find(|option| option.short == Some(letter)) else {
            known.push(Known { short: Some(letter), long: None, takes_value: false });
            options.push(Given { name: short, value: None });
            continue;
        };
        let mut value = None;
        if option.takes_value {
            let attached = std::mem::replace(&mut left, "".chars()).as_str();
            value = Some(if attached.is_empty() { rest.value_of(&short)? } else { attached.to_owned() });
        }
        options.push(Given { name: option.name(), value });
    }
    Ok(())
}
