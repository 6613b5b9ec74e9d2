//! Files of documents: read, refused with places, printed, stored.

use margay_model::codec::{as_stored, decode, encode};
use margay_model::document::{Loaded, Refusal, load};
use margay_model::resource::Resource;
use margay_model::validate::Scope;
use margay_text::read::{self, DEPTH_LIMIT};
use margay_text::tree::{Node, NodeValue};

use crate::meaning;

/// A file of documents.
///
/// Whatever it holds, trees stay within their bounds and refusals name places inside the input. What loads is the
/// same after printing and reading again, and after a way through the datastore.
pub fn documents(input: &[u8]) {
    trees(input);
    let complete = load(input, Scope::All);
    let identified = load(input, Scope::Metadata);
    for refusal in [&complete, &identified].into_iter().filter_map(|loaded| loaded.as_ref().err()) {
        refused(refusal, input);
    }
    match (complete, identified) {
        (Ok(complete), Ok(identified)) => {
            assert_eq!(format!("{complete:?}"), format!("{identified:?}"), "the scope changes what is read");
            loaded(&complete, Scope::All);
        }
        (Ok(_), Err(refusal)) => panic!("complete, but without identifiers: {refusal:?}"),
        (Err(_), Ok(identified)) => loaded(&identified, Scope::Metadata),
        (Err(_), Err(_)) => {}
    }
}

fn trees(input: &[u8]) {
    for (index, document) in read::documents(input).enumerate() {
        match document {
            Ok(document) => {
                assert_eq!(document.number, index + 1);
                if let Some(root) = &document.root {
                    tree(root, input, 1);
                }
            }
            Err(error) => {
                assert!(error.line > 0 && error.column > 0 && !error.message.is_empty(), "{error:?}")
            }
        }
    }
}

fn tree(node: &Node, input: &[u8], depth: usize) {
    assert!(depth <= DEPTH_LIMIT + 1, "deeper than the limit");
    let span = node.span;
    let inside = span.start <= span.end && span.end <= input.len() && span.line > 0 && span.column > 0;
    assert!(inside, "{span:?} of {} bytes", input.len());
    match &node.value {
        // Must not panic either.
        NodeValue::Scalar(scalar) => drop(format!("{:?}", scalar.resolve())),
        NodeValue::Sequence(items) => items.iter().for_each(|item| tree(item, input, depth + 1)),
        NodeValue::Mapping(members) => members.iter().for_each(|member| {
            assert!(member.key_span.end <= input.len());
            tree(&member.value, input, depth + 1);
        }),
    }
}

fn refused(refusal: &Refusal, input: &[u8]) {
    assert!(!refusal.upstream.is_empty(), "refused without a line for scripts");
    assert!(!refusal.faults.is_empty(), "{} has no place", refusal.upstream);
    for fault in &refusal.faults {
        assert!(!fault.message.is_empty(), "{fault:?} says nothing");
        let inside = fault.span.start <= fault.span.end && fault.span.end <= input.len();
        assert!(inside && fault.span.line > 0, "{fault:?} lies outside of {} bytes", input.len());
    }
}

fn loaded(loaded: &Loaded, scope: Scope) {
    for located in loaded {
        printed(&located.resource, scope);
        stored(&located.resource);
    }
}

/// Printing and reading again changes nothing.
pub(crate) fn printed(resource: &Resource, scope: Scope) {
    let value = resource.value();
    meaning::survives_writing(&value);
    let mut yaml = String::new();
    margay_text::yaml::write_yaml(&mut yaml, &value);
    let mut json = String::new();
    margay_text::json::write_json(&mut json, &value, 0);
    for text in [&yaml, &json] {
        match load(text.as_bytes(), scope) {
            Ok(again) => {
                let [again] = again.as_slice() else { panic!("{text:?} holds {} resources", again.len()) };
                assert_eq!(again.resource, *resource, "printed as {text:?}");
            }
            Err(refusal) => panic!("{resource:?} was printed as {text:?}, which is refused: {refusal:?}"),
        }
    }
    let mut shown = String::new();
    margay_text::go_fmt::write_go_value(&mut shown, &resource.go_value());
    assert!(!shown.is_empty());
}

/// Storing settles a resource: the second time changes nothing.
fn stored(resource: &Resource) {
    let settled = as_stored(resource);
    assert_eq!(as_stored(&settled), settled, "storing {resource:?} twice changes it");
    let Ok(identity) = resource.identity() else { return };
    let Some(value) = encode(&settled, None) else { return };
    match decode(&identity.key(), &value) {
        Ok(Some(again)) => assert_eq!(again, settled, "stored as {value}"),
        other => panic!("{settled:?} was stored as {value}, which reads as {other:?}"),
    }
    assert_eq!(encode(&settled, Some(&value)).as_ref(), Some(&value), "writing it again changes the value");
}
