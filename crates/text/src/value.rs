//! A document before writing: borrowed values in declaration order.

use std::borrow::Cow;

/// What the JSON and YAML writers take. Members stand in declaration order; the YAML writer sorts them.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer, wide enough for every integer of JSON that a peer may have stored.
    Int(i128),
    /// A float, printed by the rules of `spec/api-v1.md` 1.4.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Value<'a>>),
    /// A map; keys are unique.
    Map(Vec<(Cow<'a, str>, Value<'a>)>),
}

/// What a Go template sees: the Go shape of a value, under Go's field names (`spec/calicoctl.md` 7.3).
#[derive(Debug, Clone, PartialEq)]
pub enum GoValue {
    /// A nil pointer or interface: prints `<nil>`.
    Nil,
    /// `bool`.
    Bool(bool),
    /// Any integer type.
    Int(i64),
    /// `float64`: prints `%g` shortest.
    Float(f64),
    /// `string`, or a named string type.
    Text(String),
    /// A slice: prints `[a b]`.
    List(Vec<GoValue>),
    /// A map with string keys: prints `map[k:v k2:v2]`, sorted by key.
    Map(std::collections::BTreeMap<String, GoValue>),
    /// A struct, or a pointer to one.
    Struct(GoStruct),
}

/// A Go struct as a template sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct GoStruct {
    /// The Go type's name with its package, for errors: `api.Policy`.
    pub type_name: &'static str,
    /// Fields in declaration order under their Go names. An embedded struct's promoted fields stand here too.
    pub fields: Vec<(&'static str, GoValue)>,
    /// The text of its `String()` method; without one it prints `{f1 f2}`.
    pub display: Option<String>,
}
