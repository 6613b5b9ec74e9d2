//! Dev-only: what must hold for any input whatever, one function per kind of input.
//!
//! A function panics when something does not hold. `fuzz/` lets a fuzzer look for such inputs; the tests of this
//! crate replay `tests/data/fuzz/` and mutations of it, so every input that was ever found stays a test.

mod arguments;
mod blocks;
mod cni;
mod documents;
mod events;
mod keys;
mod meaning;
mod netlink;
mod parameters;
mod selectors;
mod settings;
mod stored;
mod templates;

pub use arguments::arguments;
pub use blocks::blocks;
pub use cni::cni;
pub use documents::documents;
pub use events::events;
pub use keys::keys;
pub use netlink::netlink;
pub use parameters::parameters;
pub use selectors::selectors;
pub use settings::settings;
pub use stored::stored;
pub use templates::templates;

/// Feeds one input to whatever reads inputs of its kind.
pub type Target = fn(&[u8]);

/// Every target by the name of its folder in `tests/data/fuzz`.
pub const TARGETS: [(&str, Target); 12] = [
    ("arguments", arguments),
    ("blocks", blocks),
    ("cni", cni),
    ("documents", documents),
    ("events", events),
    ("keys", keys),
    ("netlink", netlink),
    ("parameters", parameters),
    ("selectors", selectors),
    ("settings", settings),
    ("stored", stored),
    ("templates", templates),
];

/// The input as text; none when it is no UTF-8.
fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}
