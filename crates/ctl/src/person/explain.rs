//! `margay explain-field KIND.PATH`: what a field is, from the table that decoding uses.

use std::fmt::Write as _;
use std::io;

use margay_model::Kind;
use margay_model::decode::nearest;
use margay_model::record::{FieldSchema, RecordSchema, Shape};
use margay_model::resource::schemas;

use crate::session::Session;
use margay_client::ExitCode;

/// Explains a kind or one of its fields; the path may leave out list indexes.
pub(crate) fn explain(session: &mut Session<'_, '_>, path: &str) -> io::Result<ExitCode> {
    match text(path) {
        Ok(text) => {
            session.invocation.stdout.write_all(text.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(text) => {
            session.note(&text)?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn text(path: &str) -> Result<String, String> {
    let mut parts = path.split('.');
    let word = parts.next().unwrap_or_default();
    let kind =
        Kind::from_command_word(word).ok_or_else(|| unknown("kind", word, Kind::ALL.map(Kind::word)))?;
    let mut out = String::new();
    let [metadata, spec] = schemas(kind);
    let Some(part) = parts.next() else {
        writeln!(out, "{}\n\nmetadata: {}", kind.word(), metadata.doc.trim())
            .expect("a String takes all text");
        fields(&mut out, metadata);
        writeln!(out, "\nspec: {}", spec.doc.trim()).expect("a String takes all text");
        fields(&mut out, spec);
        return Ok(out);
    };
    let mut record = match part {
        "metadata" => metadata,
        "spec" => spec,
        other => return Err(unknown("field", other, ["metadata", "spec"])),
    };
    let mut field: Option<&FieldSchema> = None;
    for name in parts {
        let name = name.split('[').next().unwrap_or_default();
        if let Some(outer) = field {
            record = record_of(&(outer.shape)()).ok_or_else(|| {
                format!("{} has no fields of its own: {}", outer.json, words(&(outer.shape)()))
            })?;
        }
        let index =
            record.find(name).ok_or_else(|| unknown("field", name, record.fields.iter().map(|f| f.json)))?;
        field = Some(&record.fields[index]);
    }
    match field {
        None => {
            writeln!(out, "{}.{part}\n\n{}", kind.word(), record.doc.trim())
                .expect("a String takes all text");
            fields(&mut out, record);
        }
        Some(field) => {
            let shape = (field.shape)();
            writeln!(out, "{path}: {}\n\n{}", words(&shape), doc(field)).expect("a String takes all text");
            writeln!(out, "In Go templates: .{}", field.go).expect("a String takes all text");
            if let Some(record) = record_of(&shape) {
                out.push('\n');
                fields(&mut out, record);
            }
        }
    }
    Ok(out)
}

fn unknown<'a>(what: &str, word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("unknown {what} '{word}'\nhint: did you mean '{near}'?"),
        None => format!("unknown {what} '{word}'\nhint: one of {}", known.join(", ")),
    }
}

fn fields(out: &mut String, record: &RecordSchema) {
    for field in record.fields {
        let (name, shape) = (field.json, words(&(field.shape)()));
        writeln!(out, "  {name:<17} {shape:<24} {}", doc(field)).expect("a String takes all text");
    }
}

fn doc(field: &FieldSchema) -> String {
    field.doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A shape in words: `list of CIDR`.
fn words(shape: &Shape) -> String {
    match shape {
        Shape::Scalar(name) => (*name).to_owned(),
        Shape::List(of) => format!("list of {}", words(of)),
        Shape::Map => "map of text to text".to_owned(),
        Shape::Record(record) => record.name.to_owned(),
    }
}

fn record_of(shape: &Shape) -> Option<&'static RecordSchema> {
    match shape {
        Shape::Record(record) => Some(record),
        Shape::List(of) => record_of(of),
        Shape::Scalar(_) | Shape::Map => None,
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn every_field_of_every_kind_can_be_explained() {
        for kind in margay_model::Kind::ALL {
            assert!(text(kind.word()).is_ok());
            for (part, record) in ["metadata", "spec"].into_iter().zip(margay_model::resource::schemas(kind))
            {
                for field in record.fields {
                    let path = format!("{kind}.{part}.{}", field.json);
                    let explained = text(&path).unwrap();
                    assert!(explained.starts_with(&path) && explained.len() > path.len() + 30, "{explained}");
                }
            }
        }
    }

    #[test]
    fn nested_fields_are_found_through_lists() {
        let explained = text("policy.spec.ingress[2].source.nets").unwrap();
        assert!(explained.contains("list of CIDR"), "{explained}");
    }

    #[test]
    fn a_slip_of_the_finger_gets_the_nearest_word() {
        assert!(text("policy.spec.ingres").unwrap_err().contains("did you mean 'ingress'?"));
        assert!(text("polcy").unwrap_err().contains("did you mean 'policy'?"));
        assert!(text("policy.spec.selector.x").unwrap_err().contains("no fields"));
    }
}
