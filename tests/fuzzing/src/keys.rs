//! Keys of the datastore.

use margay_model::Key;

/// The path of a key.
///
/// What it names has one path of its own, which names the same.
pub fn keys(input: &[u8]) {
    let Some(path) = crate::text(input) else { return };
    let Some(key) = Key::parse(path) else { return };
    let canonical = key.path();
    let again = Key::parse(&canonical);
    assert_eq!(again.as_ref(), Some(&key), "{path:?} became {canonical:?}");
    assert_eq!(again.map(|key| key.path()), Some(canonical.clone()), "{path:?}");
    assert!(!key.to_string().is_empty());
    for parent in key.prunable_parents() {
        assert!(canonical.starts_with(&format!("{parent}/")), "{parent:?} is no parent of {canonical:?}");
    }
}
