//! Go templates: their source, their data, and the `config` function (`spec/calicoctl.md` 7.3).

use std::path::Path;

use margay_model::Kind;
use margay_text::template::{Functions, Template};
use margay_text::value::{GoStruct, GoValue};

use super::{OutputError, TemplateSource};
use crate::input::os_error_text;

/// The name that upstream gives the template in errors.
const NAME: &str = "get";

/// Reads and parses a template.
pub(super) fn parse(source: &TemplateSource, cwd: &Path) -> Result<Template, OutputError> {
    let text = match source {
        TemplateSource::Text(text) => text.clone(),
        TemplateSource::File(path) => std::fs::read_to_string(cwd.join(path))
            .map_err(|error| OutputError::Refused(format!("open {path}: {}", os_error_text(&error))))?,
    };
    Template::parse(NAME, &text).map_err(|error| OutputError::Refused(error.to_string()))
}

/// The list object of one requested resource.
pub(super) fn list(kind: Kind, items: Vec<GoValue>) -> GoValue {
    let metadata = GoStruct { type_name: "unversioned.ListMetadata", fields: Vec::new(), display: None };
    GoValue::Struct(GoStruct {
        type_name: "unversioned.Resource",
        fields: vec![
            ("Kind", GoValue::Text(kind.list_word().to_owned())),
            ("APIVersion", GoValue::Text("v1".to_owned())),
            ("Metadata", GoValue::Struct(metadata)),
            ("Items", GoValue::List(items)),
        ],
        display: None,
    })
}

/// Runs a template over all list objects.
pub(super) fn run(
    template: &Template,
    lists: &GoValue,
    global_as: &str,
    out: &mut String,
) -> Result<(), OutputError> {
    template
        .execute(lists, &ClusterConfig { global_as }, out)
        .map_err(|error| OutputError::Refused(error.to_string()))
}

/// `config "asnumber"`.
struct ClusterConfig<'a> {
    global_as: &'a str,
}

impl Functions for ClusterConfig<'_> {
    fn call(&self, name: &str, args: &[GoValue]) -> Option<Result<GoValue, String>> {
        if name != "config" {
            return None;
        }
        Some(match args {
            [GoValue::Text(wanted)] if wanted.eq_ignore_ascii_case("asnumber") => {
                Ok(GoValue::Text(self.global_as.to_owned()))
            }
            [GoValue::Text(_)] => Err("unhandled config type".to_owned()),
            _ => Err("wrong type or number of args for config: want one text".to_owned()),
        })
    }

    fn exists(&self, name: &str) -> bool {
        name == "config"
    }
}
