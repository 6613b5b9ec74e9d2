//! JSON as Go writes it.

use std::borrow::Cow;

use super::*;

fn text(text: &str) -> String {
    let mut out = String::new();
    write_json_text(&mut out, text);
    out
}

#[test]
fn html_signs_controls_and_line_separators_are_escaped() {
    assert_eq!(text("a\"b\\c/d"), r#""a\"b\\c/d""#);
    assert_eq!(text("<a & b>"), r#""\u003ca \u0026 b\u003e""#);
    assert_eq!(text("\n\r\t\x08\x0c\0\x1f\x7f"), "\"\\n\\r\\t\\u0008\\u000c\\u0000\\u001f\x7f\"");
    assert_eq!(text("\u{2028}\u{2029}\u{2027}\u{202a}"), "\"\\u2028\\u2029\u{2027}\u{202a}\"");
    assert_eq!(text("é漢\u{1f600}…"), "\"é漢\u{1f600}…\"");
    assert_eq!(text(""), "\"\"");
}

#[test]
fn indented_and_compact_forms_keep_the_order_of_members() {
    let value = Value::Map(vec![
        (Cow::Borrowed("z"), Value::List(vec![Value::Int(i64::MIN.into()), Value::Null, Value::Bool(false)])),
        (Cow::Borrowed("a"), Value::Map(vec![])),
        (Cow::Borrowed("m"), Value::Map(vec![(Cow::Borrowed("<"), Value::List(vec![]))])),
        (Cow::Borrowed("f"), Value::Float(f64::NAN)),
    ]);
    let mut indented = String::new();
    write_json(&mut indented, &value, 0);
    let expected = r#"{
  "z": [
    -9223372036854775808,
    null,
    false
  ],
  "a": {},
  "m": {
    "\u003c": []
  },
  "f": null
}"#;
    assert_eq!(indented, expected);
    let mut deeper = String::new();
    write_json(&mut deeper, &value, 2);
    assert_eq!(deeper, expected.replace('\n', "\n    "));
    let mut compact = String::new();
    write_json_compact(&mut compact, &value);
    assert_eq!(compact, r#"{"z":[-9223372036854775808,null,false],"a":{},"m":{"\u003c":[]},"f":null}"#);
}
