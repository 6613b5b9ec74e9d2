//! Templates over one sample value: Go's answers, ours where they differ, and what must never happen.

mod golden;

use std::collections::BTreeMap;

use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_oneof, proptest};

use super::{Functions, Template, TemplateError};
use crate::value::{GoStruct, GoValue};

/// The caller's part: `config`.
struct Config;

impl Functions for Config {
    fn call(&self, name: &str, args: &[GoValue]) -> Option<Result<GoValue, String>> {
        if name != "config" {
            return None;
        }
        Some(match args {
            [GoValue::Text(name)] if name.eq_ignore_ascii_case("asnumber") => Ok(text("64512")),
            _ => Err("unhandled config type".to_owned()),
        })
    }

    fn exists(&self, name: &str) -> bool {
        name == "config"
    }
}

fn text(text: &str) -> GoValue {
    GoValue::Text(text.to_owned())
}

fn structure(type_name: &'static str, fields: Vec<(&'static str, GoValue)>) -> GoValue {
    GoValue::Struct(GoStruct { type_name, fields, display: None })
}

fn inner(a: i64, b: &str) -> GoValue {
    structure("api.Inner", vec![("A", GoValue::Int(a)), ("B", text(b))])
}

fn map(entries: &[(&str, GoValue)]) -> GoValue {
    let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    GoValue::Map(entries.collect::<BTreeMap<_, _>>())
}

fn sample() -> GoValue {
    let shown = GoStruct {
        type_name: "api.Shown",
        fields: vec![("Name", text("s"))],
        display: Some("Shown(Name=s)".to_owned()),
    };
    let fields = vec![
        ("Name", text("web-1")),
        ("Count", GoValue::Int(3)),
        ("Zero", GoValue::Int(0)),
        ("Ratio", GoValue::Float(0.5)),
        ("On", GoValue::Bool(true)),
        ("Off", GoValue::Bool(false)),
        ("Tags", GoValue::List(vec![text("a"), text("b"), text("c")])),
        ("Empty", GoValue::List(Vec::new())),
        ("Labels", map(&[("role", text("db")), ("app", text("cart"))])),
        ("Point", GoValue::Nil),
        ("Nested", inner(7, "seven")),
        ("Shown", GoValue::Struct(shown)),
        ("List", GoValue::List(vec![inner(1, "one"), inner(2, "two")])),
        ("Any", map(&[("n", GoValue::Int(1)), ("t", text("x"))])),
        ("Text", text("<a href='x'>\"é\" & \u{a0} =\\\n</a>")),
    ];
    structure("api.Sample", fields)
}

fn render(source: &str, data: &GoValue) -> (String, String) {
    let mut out = String::new();
    let result =
        Template::parse("get", source).and_then(|template| template.execute(data, &Config, &mut out));
    (out, result.err().map(|error| error.to_string()).unwrap_or_default())
}

/// The output, and the error without its `template: get:`.
fn rendered(source: &str) -> (String, String) {
    let (out, error) = render(source, &sample());
    let fault = error.strip_prefix("template: get:").unwrap_or(&error);
    (out, fault.to_owned())
}

/// What `get policy` gives: a list of lists, each seen through the interface that all resources have.
fn policies() -> GoValue {
    let policy = |name: &str, types: &[&str]| {
        let types = types.iter().map(|kind| text(kind)).collect();
        GoValue::Struct(GoStruct {
            type_name: "api.Policy",
            fields: vec![
                ("Metadata", structure("api.PolicyMetadata", vec![("Name", text(name))])),
                (
                    "Spec",
                    structure(
                        "api.PolicySpec",
                        vec![("Order", GoValue::Nil), ("Types", GoValue::List(types))],
                    ),
                ),
            ],
            display: Some(format!("Policy(Name={name})")),
        })
    };
    let items = vec![
        policy("both", &["ingress", "egress"]),
        policy("in", &["ingress"]),
        policy("none", &["ingress"]),
        policy("out", &["egress"]),
        policy("pre", &["ingress"]),
    ];
    let fields = vec![("Kind", text("policyList")), ("Items", GoValue::List(items))];
    GoValue::List(vec![structure("unversioned.Resource", fields)])
}

#[test]
fn outputs_are_those_of_go() {
    for (source, expected) in golden::OUTPUTS {
        assert_eq!(rendered(source), ((*expected).to_owned(), String::new()), "{source}");
    }
}

#[test]
fn parse_faults_are_those_of_go() {
    for (source, expected) in golden::PARSE_FAULTS {
        assert_eq!(rendered(source), (String::new(), (*expected).to_owned()), "{source}");
    }
}

#[test]
fn run_faults_are_those_of_go_and_keep_the_output_so_far() {
    for (source, output, expected) in golden::RUN_FAULTS {
        assert_eq!(rendered(source), ((*output).to_owned(), (*expected).to_owned()), "{source}");
    }
}

#[test]
fn differences_from_go_are_these() {
    let cases = [
        // Types that a value does not tell.
        ("{{.Point.A}}", "", r#"1:8: executing "get" at <.Point.A>: nil pointer evaluating interface {}.A"#),
        ("{{.Any.n.x}}", "", r#"1:6: executing "get" at <.Any.n.x>: can't evaluate field x in type int"#),
        (r#"{{printf "%T %T" .Empty .Point}}"#, "[]interface {} <nil>", ""),
        // An absent list is an empty one.
        ("{{range .Point}}x{{else}}none{{end}}", "none", ""),
        ("{{eq .Point nil}} {{ne .Point nil}} {{eq .Point 1}}", "true false false", ""),
        // Texts hold characters, not bytes.
        (r#"{{"\xff"}}"#, "", "1: invalid syntax"),
        (r#"{{"\u00e9" | printf "%s" | len}}"#, "2", ""),
        (
            r#"{{slice "é" 0 1}}"#,
            "",
            r#"1:2: executing "get" at <slice "é" 0 1>: error calling slice: slice index within a character: 0:1"#,
        ),
        // Numbers are signed, real and decimal.
        ("{{9223372036854775808}}", "", r#"1: integer overflow: "9223372036854775808""#),
        ("{{1i}}", "", r#"1: illegal number syntax: "1i""#),
        ("{{1+2i}}", "", r#"1: illegal number syntax: "1+2i""#),
        ("{{0x1p4}}", "", r#"1: illegal number syntax: "0x1p4""#),
        (r#"{{printf "%x %b %#g" 1.5 1.5 1.0}}"#, "%!x(float64=1.5) %!b(float64=1.5) 1", ""),
        // Faults that Go finds by a panic of its own.
        ("{{len nil}}", "", r#"1:2: executing "get" at <len nil>: error calling len: len of nil pointer"#),
        (
            "{{index .Tags 3}}",
            "",
            r#"1:2: executing "get" at <index .Tags 3>: error calling index: index out of range: 3"#,
        ),
        (
            "{{eq .Tags .Labels}}",
            "",
            r#"1:2: executing "get" at <eq .Tags .Labels>: error calling eq: incompatible types for comparison"#,
        ),
        // Functions of the caller have no declared arguments, and no function is known while parsing.
        (
            "{{config}}",
            "",
            r#"1:2: executing "get" at <config>: error calling config: unhandled config type"#,
        ),
        ("{{foo}}{{if}}", "", "1: missing value for if"),
        ("{{call .Name}}", "", r#"1: function "call" not defined"#),
    ];
    for (source, output, fault) in cases {
        assert_eq!(rendered(source), (output.to_owned(), fault.to_owned()), "{source}");
    }
}

#[test]
fn policy_types_are_listed() {
    let source = "{{range .}}{{range .Items}}{{.Metadata.Name}} {{.Spec.Types}}\n{{end}}{{end}}";
    let expected = "both [ingress egress]\nin [ingress]\nnone [ingress]\nout [egress]\npre [ingress]\n";
    assert_eq!(render(source, &policies()), (expected.to_owned(), String::new()));
}

#[test]
fn resources_print_their_identity_and_types_stand_in_faults() {
    let cases = [
        ("{{range .}}{{index .Items 1}}{{end}}", "Policy(Name=in)", ""),
        ("{{range .}}{{(index .Items 0).String}}{{end}}", "Policy(Name=both)", ""),
        (
            "{{range .}}{{range .Items}}{{.Spec}};{{end}}{{end}}",
            "{<nil> [ingress egress]};{<nil> [ingress]};{<nil> [ingress]};{<nil> [egress]};{<nil> [ingress]};",
            "",
        ),
        ("{{range .}}{{join (index .Items 0).Spec.Types \",\"}}{{end}}", "ingress,egress", ""),
        (
            "{{range .}}x\n {{.Foo}}{{end}}",
            "x\n ",
            r#"template: get:2:3: executing "get" at <.Foo>: can't evaluate field Foo in type unversioned.Resource"#,
        ),
        (
            "{{range .}}{{range .Items}}{{.Spec.Foo}}{{end}}{{end}}",
            "",
            r#"template: get:1:34: executing "get" at <.Spec.Foo>: can't evaluate field Foo in type api.PolicySpec"#,
        ),
        (
            "{{.Foo}}",
            "",
            r#"template: get:1:2: executing "get" at <.Foo>: can't evaluate field Foo in type []unversioned.Resource"#,
        ),
    ];
    for (source, output, error) in cases {
        assert_eq!(render(source, &policies()), (output.to_owned(), error.to_owned()), "{source}");
    }
}

#[test]
fn a_missing_function_is_reported_before_any_output() {
    let template = Template::parse("get", "text\n{{if false}}{{foo 1}}{{end}}").unwrap();
    let mut out = String::new();
    let error = template.execute(&GoValue::Nil, &Config, &mut out).unwrap_err();
    let expected = TemplateError::Parse {
        name: "get".to_owned(),
        line: 2,
        fault: r#"function "foo" not defined"#.to_owned(),
    };
    assert_eq!((error, out.as_str()), (expected, ""));
}

#[test]
fn recursion_ends_with_a_fault() {
    let expected = "exceeded maximum template depth (300)";
    let endless = [
        r#"{{define "a"}}{{template "a" .}}{{end}}{{template "a"}}"#,
        r#"{{template "get" .}}"#,
        r#"{{define "a"}}{{if true}}{{with 1}}{{range $.Tags}}{{template "a" $}}{{end}}{{end}}{{end}}{{end}}{{template "a" .}}"#,
    ];
    for source in endless {
        let (_, fault) = rendered(source);
        assert!(fault.ends_with(expected), "{source}: {fault}");
    }
}

#[test]
fn the_deepest_template_fits_the_stack() {
    // Recursion through as many parentheses and blocks as the parser takes.
    let open = "{{if (index . 0)}}".repeat(50);
    let parens = format!("{}{}", "(print ".repeat(40), ")".repeat(40));
    let source = format!(
        r#"{{{{define "a"}}}}{open}{{{{{parens}}}}}{{{{template "a" .}}}}{}{{{{end}}}}{{{{template "a" .}}}}"#,
        "{{end}}".repeat(50)
    );
    let data = GoValue::List(vec![GoValue::Bool(true)]);
    let (_, error) = render(&source, &data);
    assert!(error.ends_with("exceeded maximum template depth (300)"), "{error}");
}

#[test]
fn nesting_is_bounded_but_else_if_is_not() {
    let nested = |depth: usize| format!("{}{}", "{{if true}}".repeat(depth), "{{end}}".repeat(depth));
    assert_eq!(rendered(&nested(100)).1, "");
    let fault = "1: more than 100 blocks and parentheses in each other";
    assert_eq!(rendered(&nested(101)).1, fault);
    assert_eq!(rendered(&"{{if true}}".repeat(100_000)).1, fault);
    assert_eq!(rendered(&format!("{{{{{}", "(".repeat(100_000))).1, fault);
    let chain = format!("{{{{if false}}}}{}{{{{else}}}}last{{{{end}}}}", "{{else if false}}x".repeat(10_000));
    assert_eq!(rendered(&chain), ("last".to_owned(), String::new()));
}

#[test]
fn texts_are_bounded() {
    assert_eq!(rendered(r#"{{printf "%1000000d" 1 | len}}"#).0, "1000000");
    assert_eq!(rendered(r#"{{printf "%.1000000f" 1.5 | len}}"#).0, "1000002");
    assert_eq!(rendered(r#"{{printf "%.1000000e" 1.5 | len}}"#).0, "1000006");
    assert_eq!(rendered(r#"{{printf "%1000001d" 1}}"#).0, "%!(NOVERB)%!(EXTRA int=1)");
    assert_eq!(rendered(r#"{{printf "%*d" 1000001 1}}"#).0, "%!(BADWIDTH)1");
    let wide = format!(r#"{{{{printf "{}"{}}}}}"#, "%1000000d".repeat(70), " 1".repeat(70));
    let grown = format!(r#"{{{{$x := printf "%1000000d" 1}}}}{}"#, "{{$x = print $x $x}}".repeat(10));
    for source in [wide, grown] {
        let (_, fault) = rendered(&source);
        assert!(fault.ends_with("text longer than 67108864 bytes"), "{fault}");
    }
}

#[test]
fn the_output_is_bounded_however_blocks_multiply() {
    let data = GoValue::List(vec![text(&"x".repeat(1 << 20)); 20]);
    for block in ["{{$}}", &"x".repeat(1 << 20)] {
        let source = format!("{{{{range .}}}}{{{{range $}}}}{block}{{{{end}}}}{{{{end}}}}");
        let mut out = String::new();
        let result = Template::parse("t", &source).unwrap().execute(&data, &Config, &mut out);
        let fault = result.expect_err("400 times a mebibyte").to_string();
        assert!(fault.ends_with("text longer than 268435456 bytes"), "{fault}");
        // What was printed before the fault stays, one value beyond the bound at most.
        assert!((255 << 20..290 << 20).contains(&out.len()), "{} bytes", out.len());
    }
}

fn piece() -> impl Strategy<Value = String> {
    let words = vec![
        "{{",
        "}}",
        "{{- ",
        " -}}",
        "{{/*",
        "*/}}",
        "(",
        ")",
        "|",
        ":=",
        "=",
        ",",
        " ",
        "\n",
        "$",
        "$x",
        ".",
        "..",
        ".Name",
        ".Tags",
        ".Labels",
        ".List",
        ".Nested",
        ".Point",
        ".A",
        "if ",
        "else",
        "else if ",
        "end",
        "range ",
        "with ",
        "define ",
        "block ",
        "template ",
        "break",
        "continue",
        "nil",
        "true",
        "\"a\"",
        "\"\\",
        "'x'",
        "`",
        "1",
        "-9",
        "1.5",
        "0x",
        "1e9",
        "and ",
        "or ",
        "not ",
        "eq ",
        "lt ",
        "len ",
        "index ",
        "slice ",
        "print ",
        "printf ",
        "\"%v %5.2f|%-9q|%*d|%[2]x\"",
        "html ",
        "js ",
        "urlquery ",
        "join ",
        "config ",
        "é",
        "\u{0}",
    ];
    let actions = vec![
        "{{end}}",
        "{{if .On}}",
        "{{range .Tags}}",
        "{{range $i, $x := .List}}",
        "{{with .Nested}}",
        "{{else}}",
        "{{define \"a\"}}",
        "{{template \"a\" .}}",
        "{{$x}}",
        "{{$x := .Name}}",
        "{{break}}",
        "{{.Name}}",
    ];
    prop_oneof![
        4 => prop::sample::select(words).prop_map(str::to_owned),
        4 => prop::sample::select(actions).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_template_panics(pieces in prop::collection::vec(piece(), 0..24)) {
        // A fault must name a line of the source, so that it can be found.
        let source = pieces.concat();
        let result = Template::parse("get", &source);
        let lines = 1 + source.matches('\n').count();
        match result.and_then(|template| template.execute(&sample(), &Config, &mut String::new())) {
            Ok(()) => {}
            Err(TemplateError::Parse { line, .. } | TemplateError::Execute { line, .. }) => {
                assert!((1..=lines).contains(&line));
            }
        }
    }

    #[test]
    fn no_format_panics(format in "[a%#0+ *.\\[\\]1-9-]{0,8}%[#0+ -]{0,3}[0-9]{0,3}(\\.[0-9]{0,3})?[a-zA-Z%]", int in any::<i64>(), float in any::<f64>()) {
        let arguments = [GoValue::Int(int), GoValue::Float(float), text("é\n"), GoValue::Nil, sample()];
        for argument in &arguments {
            let printed = super::printf::printf(&format, &[argument, &GoValue::Int(2)]);
            assert!(printed.is_ok());
        }
    }

    #[test]
    fn quoting_and_unquoting_undo_each_other(value in any::<String>()) {
        assert_eq!(super::literal::unquote(&super::literal::quote(&value)), Ok(value.clone()));
        let source = format!("{{{{{}}}}}", super::literal::quote(&value));
        assert_eq!(render(&source, &GoValue::Nil), (value, String::new()));
    }

    #[test]
    fn shortest_floats_read_back(float in prop::num::f64::NORMAL) {
        let printed = super::number::format_float(float, 'g', None);
        assert_eq!(printed.parse::<f64>().unwrap().to_bits(), float.to_bits());
        let source = format!("{{{{eq {printed}{} {float:e}}}}}", if printed.contains(['.', 'e']) { "" } else { ".0" });
        assert_eq!(render(&source, &GoValue::Nil).0, "true");
    }
}
