//! Every row of the table under every rule of `spec/agent.md` 2, and the grammars of its values.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;

const HOST: Host<'static> = Host { name: "node1", exists: &|path| path == Path::new("/there") };

/// Texts of a kind that are values, each with what it says.
fn good(kind: Kind) -> Vec<(String, String)> {
    if let Kind::Int(least, most) = kind
        && (least, most) != (i64::MIN, i64::MAX)
    {
        let ends = [least, most].map(|number| (number.to_string(), number.to_string()));
        return ends.into_iter().chain([(format!("{most:#x}"), most.to_string())]).collect();
    }
    good_texts(kind).into_iter().map(|(text, says)| (text.to_owned(), says.to_owned())).collect()
}

fn good_texts(kind: Kind) -> Vec<(&'static str, &'static str)> {
    match kind {
        Kind::Bool => vec![
            ("true", "true"),
            ("1", "true"),
            ("YES", "true"),
            ("y", "true"),
            ("T", "true"),
            ("False", "false"),
            ("0", "false"),
            ("no", "false"),
            ("N", "false"),
            ("f", "false"),
        ],
        Kind::Int(i64::MIN, i64::MAX) => vec![
            ("17", "17"),
            ("-3", "-3"),
            ("+4", "4"),
            ("0x1F", "31"),
            ("010", "8"),
            ("0", "0"),
            ("-0x10", "-16"),
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
        ],
        Kind::Int(..) => Vec::new(),
        Kind::Seconds => vec![
            ("10", "10"),
            ("1.5", "1.5"),
            ("0", "0"),
            ("-3", "0"),
            ("1e2", "100"),
            (".25", "0.25"),
            ("1e300", "9223372036.854776"),
        ],
        Kind::Millis => vec![("50", "0.05"), ("1500", "1.5"), ("0", "0")],
        Kind::OneOf(_) => Vec::new(),
        Kind::MarkMask => {
            vec![("0xff000000", "0xff000000"), ("15", "0x0000000f"), ("4294967295", "0xffffffff")]
        }
        Kind::Interfaces => vec![
            ("cali", "cali"),
            ("tap,cali", "tap,cali"),
            ("a_b-C9", "a_b-C9"),
            ("abcdefghijklmno", "abcdefghijklmno"),
        ],
        Kind::Authority => vec![("etcd:2379", "etcd:2379"), ("10.0.0.1:80", "10.0.0.1:80")],
        Kind::Hostname => vec![("node-1.example_x.org", "node-1.example_x.org"), ("10.0.0.1", "10.0.0.1")],
        Kind::Endpoints => vec![
            ("http://a:1", "http://a:1/"),
            ("https://a:1/, https://b:2", "https://a:1/,https://b:2/"),
            ("HTTP://a", "http://a/"),
            ("http://[::1]:2379", "http://[::1]:2379/"),
            (",", ""),
        ],
        Kind::Ports => vec![
            ("22", "tcp:22"),
            ("tcp:22, UDP:68", "tcp:22,udp:68"),
            ("udp:0,65535", "udp:0,tcp:65535"),
            (" , ", ""),
        ],
        Kind::Address => vec![("10.0.0.1", "10.0.0.1"), ("fd00::1", "fd00::1")],
        Kind::File => vec![("/a/b", "/a/b"), ("relative", "relative")],
        Kind::ExistingFile => vec![("/there", "/there")],
        Kind::Executable => vec![("/there", "/there"), ("somewhere-in-path", "somewhere-in-path")],
        Kind::Text => vec![("any text: at all", "any text: at all")],
    }
}

/// Texts of a kind that are no values.
fn bad(kind: Kind) -> Vec<String> {
    let outside = match kind {
        Kind::Int(least, most) if (least, most) != (i64::MIN, i64::MAX) => {
            vec![(least - 1).to_string(), (most + 1).to_string()]
        }
        _ => Vec::new(),
    };
    outside.into_iter().chain(bad_texts(kind).into_iter().map(str::to_owned)).collect()
}

fn bad_texts(kind: Kind) -> Vec<&'static str> {
    match kind {
        Kind::Bool => vec!["maybe", "2", "tru", " true"],
        Kind::Int(i64::MIN, i64::MAX) => {
            vec!["", "x", "1.5", "08", "0x", "0b1", "0o7", "1_000", "--1", "9223372036854775808"]
        }
        Kind::Int(..) => vec!["http", "0x", ""],
        Kind::Seconds | Kind::Millis => vec!["soon", "NaN", "inf", "-Infinity", "10s"],
        Kind::OneOf(_) => vec!["something-else", " "],
        Kind::MarkMask => vec!["0", "0x7", "0x100000000", "-1", "ff"],
        Kind::Interfaces => vec!["cali,", ",", "cali+", "abcdefghijklmnop", "a b", "ça"],
        Kind::Authority => vec!["etcd", "etcd:", ":2379", "http://etcd:2379", "[::1]:2379", "a:b", "a:1:2"],
        Kind::Hostname => vec!["node 1", "node/1", "node:1", "nöde"],
        Kind::Endpoints => vec![
            "etcd:2379",
            "http://a:1,https://b:2",
            "http://a/path",
            "http://a/?q=1",
            "http://user:pw@a:1",
            "http://",
            "ftp://a",
            "http://a b",
        ],
        Kind::Ports => vec!["sctp:5", "http", "tcp:80:90", "70000", "-1", "tcp:", "tcp:10.0.0.0/8:80"],
        Kind::Address => vec!["10.0.0", "10.0.0.0/8", "host"],
        Kind::File => Vec::new(),
        Kind::ExistingFile | Kind::Executable => vec!["/not/there"],
        Kind::Text => vec!["two\nlines"],
    }
}

/// A good text of a parameter that says something else than its default.
fn other(row: &Parameter) -> (String, String) {
    if let Kind::OneOf(words) = row.kind {
        let word = words.iter().find(|word| **word != row.default).expect("several words");
        return (word.to_lowercase(), (*word).to_owned());
    }
    let default = Value::of_default(row, HOST).to_string();
    let (text, says) = good(row.kind).into_iter().find(|(_, says)| *says != default).expect("several values");
    (text, says)
}

fn map(name: &str, text: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), text.to_owned())])
}

fn from(source: Source, name: &str, text: &str) -> Texts {
    let mut texts = Texts::default();
    match source {
        Source::Default => {}
        Source::Global => texts.global = map(name, text),
        Source::PerHost => texts.per_host = map(name, text),
        Source::File => texts.file.entries = vec![(name.to_owned(), text.to_owned())],
        Source::Environment => texts.environment = vec![(name.to_owned(), text.to_owned())],
    }
    texts
}

const SOURCES: [Source; 4] = [Source::Global, Source::PerHost, Source::File, Source::Environment];

#[test]
fn a_row_stands_at_its_names_number_and_no_name_twice() {
    for (index, row) in TABLE.iter().enumerate() {
        assert_eq!(row.name as usize, index, "{}", row.text);
        assert_eq!(Parameter::find(&row.text.to_lowercase()).map(|found| found.name), Some(row.name));
    }
}

#[test]
fn every_value_of_a_kind_is_read_and_everything_else_refused() {
    for row in TABLE {
        for (text, says) in good(row.kind) {
            let value = Value::parse(row.kind, &text, HOST)
                .unwrap_or_else(|error| panic!("{} {text:?}: {error}", row.text));
            assert_eq!(value.to_string(), says, "{} {text:?}", row.text);
        }
        if let Kind::OneOf(words) = row.kind {
            for word in words {
                let value = Value::parse(row.kind, &word.to_lowercase(), HOST).unwrap();
                assert_eq!(value, Value::Text((*word).to_owned()));
            }
        }
        for text in bad(row.kind) {
            assert!(Value::parse(row.kind, &text, HOST).is_err(), "{} takes {text:?}", row.text);
        }
    }
}

#[test]
fn what_a_value_prints_says_the_same_again() {
    for row in TABLE {
        for (text, _) in good(row.kind).into_iter().filter(|(_, says)| !says.is_empty()) {
            let value = Value::parse(row.kind, &text, HOST).unwrap();
            let unit = if row.kind == Kind::Millis { Kind::Seconds } else { row.kind };
            if matches!(&value, Value::Time(time) if time.as_secs() > 1 << 32) {
                continue;
            }
            assert_eq!(Value::parse(unit, &value.to_string(), HOST).unwrap(), value, "{} {text:?}", row.text);
        }
    }
}

#[test]
fn defaults_are_upstreams() {
    let parameters = Parameters::defaults(HOST);
    for row in TABLE {
        let says = parameters.value(row.name).to_string();
        let expected = match row.name {
            Name::FelixHostname => "node1",
            Name::IptablesLockProbeIntervalMillis => "0.05",
            _ => row.default,
        };
        assert_eq!(says, expected, "{}", row.text);
        assert_eq!(parameters.source(row.name), Source::Default);
    }
}

#[test]
fn each_parameter_is_taken_from_every_source_in_any_case() {
    for row in TABLE {
        let (text, says) = other(row);
        for source in SOURCES {
            for name in [row.text.to_owned(), row.text.to_lowercase(), row.text.to_uppercase()] {
                let (parameters, notices) = resolve(&from(source, &name, &text), HOST).unwrap();
                if row.flags.local && !source.is_local() {
                    assert_eq!(notices, [Notice::LocalOnly(row.name, source)]);
                    assert_eq!(parameters, Parameters::defaults(HOST), "{} from {source}", row.text);
                    continue;
                }
                assert_eq!(parameters.value(row.name).to_string(), says, "{} from {source}", row.text);
                assert_eq!(parameters.source(row.name), source);
                assert_eq!(parameters.changed(&Parameters::defaults(HOST)), [row.name]);
                let named: Vec<Notice> = match row.effect {
                    Effect::Meaningless(why) => vec![Notice::Meaningless(row.name, why)],
                    _ => Vec::new(),
                };
                assert_eq!(notices, named, "{} from {source}", row.text);
            }
        }
    }
}

#[test]
fn none_is_the_zero_value_or_refused() {
    for row in TABLE {
        for text in ["none", "None", "NONE"] {
            match resolve(&from(Source::Environment, row.text, text), HOST) {
                Err(error) => {
                    assert!(row.flags.non_zero, "{}", row.text);
                    assert_eq!((error.name, error.from), (row.name, Source::Environment));
                }
                Ok((parameters, _)) => {
                    assert!(!row.flags.non_zero, "{}", row.text);
                    assert_eq!(*parameters.value(row.name), Value::zero(row.kind), "{}", row.text);
                }
            }
        }
    }
}

#[test]
fn a_bad_value_is_an_error_or_the_default_whatever_weaker_sources_say() {
    for row in TABLE {
        let Some(text) = bad(row.kind).into_iter().find(|text| !text.is_empty()) else { continue };
        let (weaker, _) = other(row);
        let mut texts = from(Source::Environment, row.text, &text);
        texts.file.entries = vec![(row.text.to_owned(), weaker)];
        match resolve(&texts, HOST) {
            Err(error) => {
                assert!(row.flags.die, "{}: {error}", row.text);
                assert!(error.to_string().contains(row.text), "{error}");
            }
            Ok((parameters, notices)) => {
                assert!(!row.flags.die, "{} takes {text:?}", row.text);
                assert_eq!(*parameters.value(row.name), Value::of_default(row, HOST), "{}", row.text);
                assert!(
                    notices
                        .iter()
                        .any(|notice| matches!(notice, Notice::Replaced(name, ..) if *name == row.name)),
                    "{}: {notices:?}",
                    row.text
                );
            }
        }
    }
}

#[test]
fn an_empty_value_is_not_set() {
    for row in TABLE {
        let mut texts = from(Source::Environment, row.text, "");
        let (weaker, says) = other(row);
        texts.file.entries = vec![(row.text.to_owned(), weaker)];
        let (parameters, _) = resolve(&texts, HOST).unwrap();
        assert_eq!(parameters.value(row.name).to_string(), says, "{}", row.text);
        assert_eq!(parameters.source(row.name), Source::File);
    }
}

#[test]
fn the_strongest_source_wins_in_whatever_case_the_weaker_write_the_name() {
    let text = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let mut texts = Texts {
        environment: vec![text("logseverityscreen", "DEBUG")],
        file: FileTexts { entries: vec![text("LOGSEVERITYSCREEN", "ERROR")] },
        per_host: map("logSeverityScreen", "FATAL"),
        global: map("LogSeverityScreen", "WARNING"),
    };
    let mut seen = Vec::new();
    for weaken in 0..5 {
        match weaken {
            0 => {}
            1 => texts.environment.clear(),
            2 => texts.file.entries.clear(),
            3 => texts.per_host.clear(),
            _ => texts.global.clear(),
        }
        let (parameters, notices) = resolve(&texts, HOST).unwrap();
        assert_eq!(notices, []);
        seen.push(parameters.text(Name::LogSeverityScreen).to_owned());
    }
    assert_eq!(seen, ["DEBUG", "ERROR", "FATAL", "WARNING", "INFO"]);
}

#[test]
fn of_a_name_that_stands_twice_the_last_counts() {
    let entries =
        vec![("MetadataPort".to_owned(), "1".to_owned()), ("metadataport".to_owned(), "2".to_owned())];
    let texts = Texts { file: FileTexts { entries }, ..Texts::default() };
    let (parameters, notices) = resolve(&texts, HOST).unwrap();
    assert_eq!(parameters.int(Name::MetadataPort), 2);
    assert_eq!(notices, [Notice::Twice(Name::MetadataPort, Source::File)]);
}

#[test]
fn unknown_names_are_kept_and_named() {
    let (parameters, notices) = resolve(&from(Source::Global, "Whatever", "x"), HOST).unwrap();
    assert_eq!(parameters.unknown().collect::<Vec<_>>(), [("Whatever", "x", Source::Global)]);
    assert_eq!(notices, [Notice::Unknown("Whatever".to_owned(), Source::Global)]);
}

#[test]
fn variables_count_in_any_case_and_others_do_not() {
    let env = [
        ("FELIX_LogPrefix", "a"),
        ("felix_METADATAPORT", "1"),
        ("FELIX", "b"),
        ("XFELIX_Y", "c"),
        ("felix_a_b", "d"),
    ];
    let env = env.iter().map(|(name, text)| ((*name).to_owned(), (*text).into())).collect();
    let mut found = of_environment(&env);
    found.sort();
    let text = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    assert_eq!(found, [text("a_b", "d"), text("logprefix", "a"), text("metadataport", "1")]);
}

#[test]
fn a_file_is_read_as_upstream_reads_it() {
    let text = "\u{feff}# comment\n; comment\n\n[global]\nMetadataAddr = 10.0.0.1\nLogPrefix: \"a b\" # why\n\
                [other]\r\nMetadataPort=1\r\nInterfacePrefix = tap,\\\n  cali\nClusterType = `k8s;x`\nCalicoVersion='v'\n\
                ClusterGUID = \"\"\"a\nb\"\"\"\nEmpty =\n";
    let entries = read_file(text).unwrap().entries;
    let entries: Vec<(&str, &str)> =
        entries.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(
        entries,
        [
            ("MetadataAddr", "10.0.0.1"),
            ("LogPrefix", "a b"),
            ("MetadataPort", "1"),
            ("InterfacePrefix", "tap,cali"),
            ("ClusterType", "k8s;x"),
            ("CalicoVersion", "v"),
            ("ClusterGUID", "a\nb"),
            ("Empty", ""),
        ]
    );
}

#[test]
fn a_file_that_is_none_is_refused_with_its_line() {
    for (text, line) in [("a = 1\nnonsense\n", 2), ("[open\n", 1), ("= 1", 1), ("\n\na = `b\nc", 3)] {
        assert_eq!(read_file(text).unwrap_err().line, line, "{text:?}");
    }
}

#[test]
fn every_row_can_be_read_by_the_read_of_its_kind() {
    let parameters = Parameters::defaults(HOST);
    for row in TABLE {
        match row.kind {
            Kind::Bool => drop(parameters.bool(row.name)),
            Kind::Int(..) => drop(parameters.int(row.name)),
            Kind::Seconds | Kind::Millis => drop(parameters.time(row.name)),
            Kind::MarkMask => drop(parameters.mask(row.name)),
            Kind::Interfaces | Kind::Endpoints => drop(parameters.list(row.name).to_vec()),
            Kind::Ports => drop(parameters.ports(row.name).to_vec()),
            Kind::Address => drop(parameters.address(row.name)),
            _ => drop(parameters.text(row.name).to_owned()),
        }
    }
}

#[test]
fn explain_names_every_parameter_with_its_value_and_source() {
    let (parameters, _) = resolve(&from(Source::PerHost, "IpInIpMtu", "1400"), HOST).unwrap();
    let text = explain(&parameters);
    for row in TABLE {
        assert!(text.lines().any(|line| line.starts_with(row.text)), "{}", row.text);
    }
    let line = text.lines().find(|line| line.starts_with("IpInIpMtu")).unwrap();
    let words: Vec<&str> = line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
    assert_eq!(
        words,
        ["IpInIpMtu", "1400", "datastore (per-host)", "rules, routes and devices follow at once"]
    );
    assert_eq!(reference().lines().count(), TABLE.len() + 2);
}
