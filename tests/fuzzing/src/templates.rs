//! Go templates of `get -o go-template`.

use std::sync::LazyLock;

use margay_model::document::load;
use margay_model::validate::Scope;
use margay_text::template::{Functions, Template};
use margay_text::value::GoValue;

/// What templates are executed over: one resource of every kind, as `get` hands them on.
static DATA: LazyLock<GoValue> = LazyLock::new(|| {
    let loaded = load(include_bytes!("every-kind.yaml"), Scope::All).expect("the documents are valid");
    GoValue::List(loaded.iter().map(|located| located.resource.go_value()).collect())
});

/// How much text a template may make: the bound of one execution, and a value beyond it.
const OUTPUT_LIMIT: usize = 257 << 20;
/// How many blocks that multiply the work are executed: time, unlike memory, is the template's own.
const LOOPS: usize = 4;
const CALLS: usize = 12;

/// A Go template.
///
/// It is refused, or fails, or writes a bounded text.
pub fn templates(input: &[u8]) {
    let Some(source) = crate::text(input) else { return };
    let template = match Template::parse("get", source) {
        Ok(template) => template,
        Err(error) => {
            assert!(error.to_string().starts_with("template: "), "{error}");
            return;
        }
    };
    if source.matches("range").count() > LOOPS || source.matches("template").count() > CALLS {
        return;
    }
    let mut out = String::new();
    let result = template.execute(&DATA, &Config, &mut out);
    assert!(out.len() <= OUTPUT_LIMIT, "{} bytes of output", out.len());
    if let Err(error) = result {
        assert!(error.to_string().starts_with("template: "), "{error}");
        assert!(
            error.to_string().len() < 4096 + 8 * source.len(),
            "an error of {} bytes",
            error.to_string().len()
        );
    }
}

struct Config;

impl Functions for Config {
    fn call(&self, name: &str, args: &[GoValue]) -> Option<Result<GoValue, String>> {
        (name == "config").then(|| match args {
            [GoValue::Text(_)] => Ok(GoValue::Text("64512".to_owned())),
            _ => Err("wrong arguments".to_owned()),
        })
    }

    fn exists(&self, name: &str) -> bool {
        name == "config"
    }
}
