//! A parsed selector: its nodes in pre-order in one array, each leaf with the node to go to next.
//! Evaluation is a walk along those jumps: no recursion, no stack, no allocation, and `!` is free.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::ParseError;
use crate::expr::Expr;
use crate::id::SelectorId;
use crate::labels::Labels;
use crate::parse::{self, Counted};

/// The jump that ends evaluation with "matches".
const ACCEPT: usize = usize::MAX;
/// The jump that ends evaluation with "does not match".
const REJECT: usize = usize::MAX - 1;

/// A parsed label selector; cheap to clone.
///
/// Equal selectors have equal canonical texts and ids.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    nodes: Arc<[Node]>,
}

/// One node of the expression, followed by its operands.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Node {
    pub(crate) op: Op,
    /// How many nodes this subtree has, this one included.
    pub(crate) size: usize,
    /// Where evaluation goes on when this node is true.
    on_true: usize,
    /// Where evaluation goes on when this node is false.
    on_false: usize,
}

/// What a node says; sets are sorted and without repeats.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Op {
    All,
    Has(Box<str>),
    Equal(Box<str>, Box<str>),
    NotEqual(Box<str>, Box<str>),
    In(Box<str>, Box<[Box<str>]>),
    NotIn(Box<str>, Box<[Box<str>]>),
    Not,
    And,
    Or,
}

// === impl Selector ===

impl Selector {
    /// Parses a selector; empty text selects everything.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::parse(text).map(|nodes| Selector { nodes: linked(nodes).into() })
    }

    /// Whether the labels satisfy the selector.
    pub fn matches<L: Labels + ?Sized>(&self, labels: &L) -> bool {
        let mut at = 0;
        while let Some(node) = self.nodes.get(at) {
            at = match node.op.test(labels) {
                Some(true) => node.on_true,
                Some(false) => node.on_false,
                // An operator is what its operands are; the first one follows.
                None => at + 1,
            };
        }
        at == ACCEPT
    }

    /// The stable name of this selector.
    pub fn id(&self) -> SelectorId {
        SelectorId::of(&self.to_string())
    }

    /// The expression, to be matched on.
    pub fn expr(&self) -> Expr<'_> {
        Expr::of(&self.nodes)
    }

    /// Every part of the expression, each before its operands.
    pub fn walk(&self) -> impl Iterator<Item = Expr<'_>> {
        (0..self.nodes.len()).map(|start| Expr::of(&self.nodes[start..start + self.nodes[start].size]))
    }
}

impl FromStr for Selector {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Selector::parse(text)
    }
}

/// Prints the canonical form.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(&self.nodes, f)
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Selector({self})")
    }
}

// === impl Op ===

impl Op {
    /// Whether the labels satisfy a leaf; nothing for an operator.
    fn test<L: Labels + ?Sized>(&self, labels: &L) -> Option<bool> {
        Some(match self {
            Op::All => true,
            Op::Has(key) => labels.get(key).is_some(),
            Op::Equal(key, value) => labels.get(key) == Some(value),
            Op::NotEqual(key, value) => labels.get(key) != Some(value),
            Op::In(key, values) => labels.get(key).is_some_and(|value| holds(values, value)),
            Op::NotIn(key, values) => !labels.get(key).is_some_and(|value| holds(values, value)),
            Op::Not | Op::And | Op::Or => return None,
        })
    }
}

// === helpers ===

/// Whether the sorted set holds the value.
fn holds(values: &[Box<str>], value: &str) -> bool {
    values.binary_search_by(|candidate| candidate.as_ref().cmp(value)).is_ok()
}

/// Adds to each node the size of its subtree and its jumps.
fn linked(counted: Vec<Counted>) -> Vec<Node> {
    let sizes = subtree_sizes(&counted);
    let mut jumps = vec![(ACCEPT, REJECT); counted.len()];
    // Parents come first, so the jumps of a node are final when its operands ask for them.
    for (index, node) in counted.iter().enumerate() {
        let (on_true, on_false) = jumps[index];
        let mut operand = index + 1;
        for remaining in (0..node.operands).rev() {
            let next = operand + sizes[operand];
            jumps[operand] = match node.op {
                Op::Not => (on_false, on_true),
                Op::And if remaining > 0 => (next, on_false),
                Op::Or if remaining > 0 => (on_true, next),
                _ => (on_true, on_false),
            };
            operand = next;
        }
    }
    let parts = counted.into_iter().zip(sizes).zip(jumps);
    parts.map(|((node, size), (on_true, on_false))| Node { op: node.op, size, on_true, on_false }).collect()
}

/// For each node, how many nodes its subtree has.
fn subtree_sizes(counted: &[Counted]) -> Vec<usize> {
    let mut sizes = vec![1; counted.len()];
    // Backwards, so that the sizes of the operands are known.
    for (index, node) in counted.iter().enumerate().rev() {
        let end = (0..node.operands).fold(index + 1, |operand, _| operand + sizes[operand]);
        sizes[index] = end - index;
    }
    sizes
}

/// Writes the canonical text of one expression.
pub(crate) fn print(nodes: &[Node], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // The groups that are open: where each ends and what separates its operands.
    let mut open: Vec<(usize, &str)> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        match &node.op {
            Op::Not => f.write_str("!")?,
            Op::And | Op::Or => {
                f.write_str("(")?;
                open.push((index + node.size, if node.op == Op::And { " && " } else { " || " }));
            }
            leaf => {
                print_leaf(leaf, f)?;
                while open.pop_if(|(end, _)| *end == index + 1).is_some() {
                    f.write_str(")")?;
                }
                if let Some((_, separator)) = open.last() {
                    f.write_str(separator)?;
                }
            }
        }
    }
    Ok(())
}

fn print_leaf(leaf: &Op, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match leaf {
        Op::All => f.write_str("all()"),
        Op::Has(key) => write!(f, "has({key})"),
        Op::Equal(key, value) => write!(f, "{key} == {}", Quoted(value)),
        Op::NotEqual(key, value) => write!(f, "{key} != {}", Quoted(value)),
        Op::In(key, values) => write!(f, "{key} in {}", Set(values)),
        Op::NotIn(key, values) => write!(f, "{key} not in {}", Set(values)),
        Op::Not | Op::And | Op::Or => Ok(()),
    }
}

/// A value in the quotes that it does not contain itself.
struct Quoted<'s>(&'s str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if self.0.contains('"') { '\'' } else { '"' };
        write!(f, "{quote}{}{quote}", self.0)
    }
}

/// A set of values in braces.
struct Set<'s>(&'s [Box<str>]);

impl fmt::Display for Set<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, value) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", Quoted(value))?;
        }
        f.write_str("}")
    }
}
