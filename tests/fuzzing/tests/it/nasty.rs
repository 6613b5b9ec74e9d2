//! Inputs that are large or deep: made here, because they are no files to keep.
//!
//! The process may take no more than two GiB of addresses, so what grows without a bound ends the test.

use std::fmt::Write as _;
use std::sync::Once;

use margay_fuzzing::{arguments, documents, keys, selectors, settings, stored, templates};
use margay_model::document::load;
use margay_model::validate::Scope;
use margay_selector::{MAX_NESTING, Selector};
use margay_text::read::{self, DEPTH_LIMIT};
use rustix::process::{Resource, Rlimit, setrlimit};

/// The addresses that this process may have.
const ADDRESSES: u64 = 2 << 30;

fn bound_memory() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        let limit = Rlimit { current: Some(ADDRESSES), maximum: Some(ADDRESSES) };
        setrlimit(Resource::As, limit).expect("a limit may be lowered");
    });
}

/// The fault that ends the reading of an input.
fn fault(input: &str) -> String {
    match read::documents(input.as_bytes()).find_map(Result::err) {
        Some(error) => error.message,
        None => panic!("{} bytes were read without a fault", input.len()),
    }
}

/// A small profile.
const PROFILE: &str = "apiVersion: v1\nkind: profile\nmetadata: {name: a}\n";

#[test]
fn nesting_bombs_are_refused_at_the_limit() {
    bound_memory();
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{a: ", "}"), ("[{a: ", "}]")] {
        for depth in [DEPTH_LIMIT + 1, 100_000] {
            let closed = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            assert!(fault(&closed).contains("deeper than"), "{open:?}: {}", fault(&closed));
            documents(closed.as_bytes());
            documents(open.repeat(depth).as_bytes());
        }
    }
    let block: String = (0..5_000).fold(String::new(), |mut text, depth| {
        let _ = writeln!(text, "{}a:", " ".repeat(depth));
        text
    });
    assert!(fault(&block).contains("deeper than"), "{}", fault(&block));
    documents(block.as_bytes());
    documents("- ".repeat(100_000).as_bytes());
    documents("? ".repeat(100_000).as_bytes());
    documents("!!str ".repeat(100_000).as_bytes());
}

#[test]
fn what_nests_up_to_the_limit_is_read() {
    let depth = DEPTH_LIMIT - 1;
    let text = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read::documents(text.as_bytes()).all(|document| document.is_ok()));
    documents(text.as_bytes());
}

#[test]
fn alias_bombs_are_refused() {
    bound_memory();
    let mut laughs = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    let mut merges = String::from("a0: &a0 {k: 'a text of some length'}\n");
    for level in 1..40 {
        let below = vec![format!("*a{}", level - 1); 9].join(", ");
        let _ = writeln!(laughs, "a{level}: &a{level} [{below}]");
        let _ = writeln!(merges, "a{level}: &a{level} {{<<: [{below}], k{level}: [{below}]}}");
    }
    for bomb in [&laughs, &merges] {
        assert!(fault(bomb).contains("alias"), "{}", fault(bomb));
        documents(bomb.as_bytes());
        settings(bomb.as_bytes());
    }
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 4096].join(", "));
    assert!(fault(&long).contains("alias"), "{}", fault(&long));
    documents(long.as_bytes());
    documents(b"a: &a [*a]");
    documents(b"&a : *a");
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_stand() {
    for bytes in [&b"a: \xff"[..], b"\xc0\x80", b"a: \xed\xa0\x80", b"{\"a\": \"\xf8\"}", b"a: b\n\xfe\xff"] {
        assert!(load(bytes, Scope::All).is_err(), "{bytes:?}");
        for target in margay_fuzzing::TARGETS {
            target.1(bytes);
        }
    }
    documents(b"\xff\xfea\0:\0 \0b\0");
    documents(b"\xfe\xff\0a\0:\0 \0b");
    documents(b"a: b\0c");
    documents(b"\"a\": \"b\\0c\"");
    documents(b"\0\0\0\0");
}

#[test]
fn line_ends_and_byte_order_marks_change_nothing() {
    let unix = include_str!("../../src/every-kind.yaml");
    let of = |text: &str| {
        let loaded = load(text.as_bytes(), Scope::All).unwrap_or_else(|refusal| panic!("{refusal:?}"));
        loaded.into_iter().map(|located| located.resource).collect::<Vec<_>>()
    };
    let dos = unix.replace('\n', "\r\n");
    let marked = format!("\u{feff}{unix}");
    assert_eq!(of(unix).len(), 7);
    for text in [&dos, &marked] {
        assert_eq!(of(text), of(unix));
        documents(text.as_bytes());
    }
    documents(unix.replace('\n', "\r").as_bytes());
    documents(b"\xef\xbb\xbf");
    documents(b"\xef\xbb\xbf\xef\xbb\xbfa: b");
    documents(b"a: b\n--- \xef\xbb\xbf\nc: d");
}

#[test]
fn a_scalar_of_a_mebibyte_is_read_whole() {
    bound_memory();
    let text = "word ".repeat(200_000);
    for document in [
        format!("{PROFILE}spec: {{ingress: [{{action: allow, source: {{selector: \"{text}\"}}}}]}}"),
        format!("{{\"apiVersion\": \"v1\", \"kind\": \"{text}\"}}"),
        format!("apiVersion: v1\nkind: policy\nmetadata: {{name: a, annotations: {{b: '{text}'}}}}\n"),
        format!("a: |\n  {}", text.replace(' ', "\n  ")),
        format!("a: >\n  {}", text.replace(' ', "\n  ")),
        format!("? {text}\n: {text}"),
        format!("# {text}\n{PROFILE}"),
        "9".repeat(1 << 20),
        format!("0.{}", "1".repeat(1 << 20)),
        format!("1e{}", "1".repeat(1 << 20)),
        "_".repeat(1 << 20),
        format!("'{}'", "''".repeat(1 << 19)),
        format!("\"{}\"", "\\\"".repeat(1 << 19)),
        "\n".repeat(1 << 20),
        "\t".repeat(1 << 20),
        "#".repeat(1 << 20),
        "&a".repeat(1 << 19),
        "!".repeat(1 << 20),
        "%".repeat(1 << 20),
        "a:".repeat(1 << 19),
        "a: ".repeat(1 << 18),
        "{a,".repeat(1 << 18),
        "---\n".repeat(1 << 18),
    ] {
        documents(document.as_bytes());
    }
}

#[test]
fn a_hundred_thousand_documents_are_read_one_by_one() {
    bound_memory();
    const MANY: usize = 100_000;
    let count = |text: &str| read::documents(text.as_bytes()).filter(Result::is_ok).count();
    assert_eq!(count(&"--- {a: 1}\n".repeat(MANY)), MANY);
    assert_eq!(count(&"{\"a\": 1}\n".repeat(MANY)), MANY);
    let profiles = format!("---\n{PROFILE}").repeat(MANY);
    assert_eq!(load(profiles.as_bytes(), Scope::All).expect("valid").len(), MANY);
    const FAULTY: usize = 10_000;
    let refused =
        load("--- {kind: nonsense}\n".repeat(FAULTY).as_bytes(), Scope::All).expect_err("no such kind");
    assert!(refused.faults.len() >= FAULTY && refused.upstream.len() < 1000);
    let fields: String = (0..FAULTY).fold(String::from(PROFILE), |mut text, index| {
        let _ = writeln!(text, "x{index}: 1");
        text
    });
    let refused = load(fields.as_bytes(), Scope::All).expect_err("no such fields");
    assert!(refused.faults.len() >= FAULTY && refused.upstream.len() < 1000, "{}", refused.faults.len());
}

#[test]
fn selectors_without_end_are_refused_and_long_ones_parsed() {
    bound_memory();
    const MANY: usize = 100_000;
    for deep in [MAX_NESTING + 1, MANY] {
        let nested = format!("{}has(a){}", "(".repeat(deep), ")".repeat(deep));
        assert!(Selector::parse(&nested).is_err(), "{deep} parentheses");
        selectors(nested.as_bytes());
        selectors("(".repeat(deep).as_bytes());
        selectors(format!("{}has(a)", "!".repeat(deep)).as_bytes());
        selectors(format!("{}has(a){}", "!(".repeat(deep), ")".repeat(deep)).as_bytes());
        selectors(format!("{}has(a){}", "(a == 'b' || ".repeat(deep), ")".repeat(deep)).as_bytes());
    }
    for operator in [" && ", " || "] {
        let long = vec!["has(a)"; MANY].join(operator);
        assert!(Selector::parse(&long).is_ok());
        selectors(long.as_bytes());
    }
    let set = format!("a in {{{}}}", vec!["'b'"; MANY].join(","));
    selectors(set.as_bytes());
    selectors(format!("a == '{}'", "b".repeat(1 << 20)).as_bytes());
    selectors(format!("has({})", "b".repeat(1 << 20)).as_bytes());
    selectors(format!("a == '{}", "b".repeat(1 << 20)).as_bytes());
}

#[test]
fn keys_and_stored_values_of_any_size_are_read() {
    bound_memory();
    keys("/".repeat(1 << 20).as_bytes());
    keys(format!("/calico/v1/host/{}", "a/".repeat(1 << 19)).as_bytes());
    keys(format!("/calico/v1/policy/tier/default/policy/{}", "%25%2f".repeat(1 << 16)).as_bytes());
    for value in [
        "[".repeat(1 << 20),
        "{\"a\":".repeat(1 << 18),
        format!("{{\"selector\": \"{}\"}}", "a".repeat(1 << 20)),
        format!("{{\"inbound_rules\": [{}]}}", vec!["{}"; 10_000].join(",")),
        format!("{{\"x\": {}1{}}}", "[".repeat(120), "]".repeat(120)),
        format!("{{\"order\": {}}}", "9".repeat(1 << 16)),
    ] {
        stored(format!("/calico/v1/policy/tier/default/policy/a\0{value}").as_bytes());
        stored(format!("/calico/v1/policy/profile/a/rules\0{value}").as_bytes());
        stored(format!("/calico/v1/host/a/endpoint/b\0{value}").as_bytes());
    }
}

#[test]
fn templates_write_and_nest_within_bounds() {
    bound_memory();
    for text in [
        "{{printf \"%1000000d\" 1}}".repeat(200),
        "{{range .}}{{range $}}{{range $}}{{range $}}{{range $}}{{.}}{{end}}{{end}}{{end}}{{end}}{{end}}"
            .to_owned(),
        "{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}".to_owned(),
        "{{define \"a\"}}{{template \"a\" .}}{{template \"a\" .}}{{end}}{{template \"a\" .}}".to_owned(),
        "{{if .}}".repeat(100_000),
        format!("{{{{{}1{}}}}}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("{{{{printf {} }}}}", "\"%v\" ".repeat(10_000)),
        format!("{{{{1{}}}}}", " | print 1".repeat(100_000)),
        format!("{{{{$a := \"{}\"}}}}{}", "x".repeat(1000), "{{$a = print $a $a}}".repeat(64)),
        format!("{{{{/*{}", "*".repeat(1 << 20)),
        "{{".repeat(1 << 19),
        format!("{{{{\"{}\"}}}}", "\\u0041".repeat(100_000)),
    ] {
        templates(text.as_bytes());
    }
}

#[test]
fn command_lines_of_any_length_end() {
    bound_memory();
    arguments(format!("get{}", "\0policy".repeat(100_000)).as_bytes());
    arguments(format!("get\0{}", "-".repeat(1 << 20)).as_bytes());
    arguments(format!("margay\0explain-field\0policy{}", ".spec".repeat(100_000)).as_bytes());
    arguments(format!("margay\0{}", "x".repeat(1 << 17)).as_bytes());
    arguments(format!("create\0-f\0-\n--\n{}", "- ".repeat(100_000)).as_bytes());
    arguments(format!("margay\0validate\0-f\0-\n--\n{}", "[".repeat(100_000)).as_bytes());
}
