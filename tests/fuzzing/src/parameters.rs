//! Parameters of the agent: a file, variables and what the datastore says.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use margay_agent::parameters::{
    Host, Parameters, TABLE, Texts, Value, explain, of_environment, read_file, resolve,
};

const HOST: Host<'static> = Host { name: "node1", exists: &exists };

/// What exists depends on nothing but the path.
fn exists(path: &Path) -> bool {
    path.as_os_str().len().is_multiple_of(2)
}

/// A file; variables `NAME=VALUE`; values of the datastore, those of all hosts with `*` in front; with NUL between.
///
/// Nothing panics, the same texts say the same twice, what is refused is named, and a value that is printed says the
/// same when it is read again.
pub fn parameters(input: &[u8]) {
    let mut parts = input.split(|byte| *byte == 0);
    let file = parts.next().and_then(|part| std::str::from_utf8(part).ok()).unwrap_or_default();
    let mut variables: BTreeMap<String, OsString> = BTreeMap::new();
    let mut texts = Texts::default();
    match read_file(file) {
        Ok(file) => texts.file = file,
        Err(error) => assert!(error.line > 0 && !error.what.is_empty()),
    }
    for part in parts.take(60) {
        let Some(at) = part.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = (String::from_utf8_lossy(&part[..at]).into_owned(), &part[at + 1..]);
        let text = || String::from_utf8_lossy(value).into_owned();
        match (name.strip_prefix('*'), name.strip_prefix('.')) {
            (Some(name), _) => drop(texts.global.insert(name.to_owned(), text())),
            (None, Some(name)) => drop(texts.per_host.insert(name.to_owned(), text())),
            (None, None) => drop(variables.insert(name, OsString::from_vec(value.to_vec()))),
        }
    }
    texts.environment = of_environment(&variables);
    let first = resolve(&texts, HOST);
    assert_eq!(first, resolve(&texts, HOST), "the same texts say something else the second time");
    match first {
        Err(error) => assert!(error.to_string().contains(error.name.text()), "{error}"),
        Ok((parameters, notices)) => {
            let shown = explain(&parameters);
            assert!(shown.lines().count() > TABLE.len());
            assert!(notices.iter().all(|notice| !notice.to_string().is_empty()));
            read_again(&parameters);
        }
    }
}

fn read_again(parameters: &Parameters) {
    use margay_agent::parameters::Kind;
    for row in TABLE {
        let value = parameters.value(row.name);
        let shown = value.to_string();
        let exact = match row.kind {
            // What is printed in seconds or rounded, or never exists, is not read in the same way.
            Kind::Millis | Kind::Seconds | Kind::ExistingFile | Kind::Executable => false,
            _ => *value != Value::zero(row.kind),
        };
        if exact && !shown.eq_ignore_ascii_case("none") {
            assert_eq!(Value::parse(row.kind, &shown, HOST).as_ref(), Ok(value), "{} {shown:?}", row.text);
        }
    }
    assert!(parameters.changed(parameters).is_empty());
}
