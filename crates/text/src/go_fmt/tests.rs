//! Numbers, lists and maps as Go prints them.

use std::collections::BTreeMap;

use super::*;

/// A float, then as Go prints it with `%g`, in JSON, and in YAML made from that JSON (Go 1.19, go-yaml v2).
const FLOATS: &[(f64, &str, &str, &str)] = &[
    (0.0, "0", "0", "0"),
    (-0.0, "-0", "-0", "0"),
    (1.0, "1", "1", "1"),
    (-1.0, "-1", "-1", "-1"),
    (0.5, "0.5", "0.5", "0.5"),
    (100_000.0, "100000", "100000", "100000"),
    (123_456.75, "123456.75", "123456.75", "123456.75"),
    (999_999.0, "999999", "999999", "999999"),
    (1e6, "1e+06", "1000000", "1000000"),
    (6_543_215.321, "6.543215321e+06", "6543215.321", "6.543215321e+06"),
    (1e20, "1e+20", "100000000000000000000", "1e+20"),
    (1e21, "1e+21", "1e+21", "1e+21"),
    (1.5e21, "1.5e+21", "1.5e+21", "1.5e+21"),
    (1e30, "1e+30", "1e+30", "1e+30"),
    (0.0001, "0.0001", "0.0001", "0.0001"),
    (0.000_012_34, "1.234e-05", "0.00001234", "1.234e-05"),
    (1e-5, "1e-05", "0.00001", "1e-05"),
    (1e-6, "1e-06", "0.000001", "1e-06"),
    (1e-7, "1e-07", "1e-7", "1e-07"),
    (1.25e-9, "1.25e-09", "1.25e-9", "1.25e-09"),
    (1e-10, "1e-10", "1e-10", "1e-10"),
    (9_007_199_254_740_992.0, "9.007199254740992e+15", "9007199254740992", "9007199254740992"),
    (18_446_744_073_709_549_568.0, "1.844674407370955e+19", "18446744073709550000", "18446744073709550000"),
    (
        18_446_744_073_709_551_616.0,
        "1.8446744073709552e+19",
        "18446744073709552000",
        "1.8446744073709552e+19",
    ),
    (-9_223_372_036_854_774_784.0, "-9.223372036854775e+18", "-9223372036854775000", "-9223372036854775000"),
    (
        -9_223_372_036_854_775_808.0,
        "-9.223372036854776e+18",
        "-9223372036854776000",
        "-9.223372036854776e+18",
    ),
    (1e19, "1e+19", "10000000000000000000", "10000000000000000000"),
    (-1e19, "-1e+19", "-10000000000000000000", "-1e+19"),
    (f64::MAX, "1.7976931348623157e+308", "1.7976931348623157e+308", "1.7976931348623157e+308"),
    (5e-324, "5e-324", "5e-324", "5e-324"),
    (-273.15, "-273.15", "-273.15", "-273.15"),
];

#[test]
fn floats_print_as_go_prints_them() {
    for &(value, general, json, yaml) in FLOATS {
        assert_eq!(format_float_g(value), general);
        let mut written = String::new();
        write_float_json(&mut written, value);
        assert_eq!(written, json, "{general} in JSON");
        written.clear();
        crate::yaml::write_yaml(&mut written, &crate::value::Value::Float(value));
        assert_eq!(written.trim_end(), yaml, "{general} in YAML");
    }
}

#[test]
fn floats_that_are_no_numbers_have_names() {
    assert_eq!(format_float_g(f64::NAN), "NaN");
    assert_eq!(format_float_g(f64::INFINITY), "+Inf");
    assert_eq!(format_float_g(f64::NEG_INFINITY), "-Inf");
}

#[test]
fn lists_and_maps_print_in_brackets_with_blanks_between() {
    assert_eq!(format_list([]), "[]");
    assert_eq!(format_list(["a", "b c"]), "[a b c]");
    assert_eq!(format_map([]), "map[]");
    assert_eq!(format_map([("a", "1"), ("b", "2")]), "map[a:1 b:2]");
}

#[test]
fn values_of_every_kind_print_as_go_prints_them() {
    let text = |text: &str| GoValue::Text(text.to_owned());
    let structure = |display: Option<&str>| {
        GoValue::Struct(GoStruct {
            type_name: "api.Rule",
            fields: vec![
                ("Action", text("allow")),
                ("Protocol", GoValue::Nil),
                ("Order", GoValue::Float(1e6)),
            ],
            display: display.map(str::to_owned),
        })
    };
    let value = GoValue::List(vec![
        GoValue::Bool(true),
        GoValue::Int(-7),
        GoValue::Map(BTreeMap::from([("k".to_owned(), text("v")), ("a".to_owned(), GoValue::List(vec![]))])),
        structure(None),
        structure(Some("tcp")),
    ]);
    let mut written = String::new();
    write_go_value(&mut written, &value);
    assert_eq!(written, "[true -7 map[a:[] k:v] {allow <nil> 1e+06} tcp]");
}
