//! A view of a selector's expression, for readers that index or explain it.
//! The view borrows; walking it never allocates.

use std::fmt;

use crate::selector::{Node, Op, print};

/// One part of a selector; `values` are sorted bytewise and without repeats.
#[derive(Debug, Clone, Copy)]
pub enum Expr<'s> {
    /// `all()`: always true.
    All,
    /// `has(key)`: the label is present.
    Has(&'s str),
    /// `key == "value"`: the label is present with that value.
    Equal {
        /// The label.
        key: &'s str,
        /// The value.
        value: &'s str,
    },
    /// `key != "value"`: the label is absent or has another value.
    NotEqual {
        /// The label.
        key: &'s str,
        /// The value.
        value: &'s str,
    },
    /// `key in {…}`: the label is present with one of the values.
    In {
        /// The label.
        key: &'s str,
        /// The values.
        values: &'s [Box<str>],
    },
    /// `key not in {…}`: the label is absent or has none of the values.
    NotIn {
        /// The label.
        key: &'s str,
        /// The values.
        values: &'s [Box<str>],
    },
    /// `!x`; the operand is never itself a negation.
    Not(Operand<'s>),
    /// `x && y && …`, at least two operands.
    And(Operands<'s>),
    /// `x || y || …`, at least two operands.
    Or(Operands<'s>),
}

/// The operand of a negation.
#[derive(Clone, Copy)]
pub struct Operand<'s>(&'s [Node]);

/// The operands of `&&` or `||`, in order.
#[derive(Clone, Copy)]
pub struct Operands<'s>(&'s [Node]);

// === impl Expr ===

impl<'s> Expr<'s> {
    /// The expression whose nodes these are, its own first.
    pub(crate) fn of(nodes: &'s [Node]) -> Self {
        let (first, rest) = nodes.split_first().expect("every subtree holds its own node");
        match &first.op {
            Op::All => Expr::All,
            Op::Has(key) => Expr::Has(key),
            Op::Equal(key, value) => Expr::Equal { key, value },
            Op::NotEqual(key, value) => Expr::NotEqual { key, value },
            Op::In(key, values) => Expr::In { key, values },
            Op::NotIn(key, values) => Expr::NotIn { key, values },
            Op::Not => Expr::Not(Operand(rest)),
            Op::And => Expr::And(Operands(rest)),
            Op::Or => Expr::Or(Operands(rest)),
        }
    }
}

// === impl Operand ===

impl<'s> Operand<'s> {
    /// The negated expression.
    pub fn expr(self) -> Expr<'s> {
        Expr::of(self.0)
    }
}

impl fmt::Debug for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.0, f)
    }
}

// === impl Operands ===

impl<'s> Operands<'s> {
    /// The nodes of the next operand; nothing after the last one.
    fn next_nodes(&mut self) -> Option<&'s [Node]> {
        let (nodes, rest) = self.0.split_at_checked(self.0.first()?.size)?;
        self.0 = rest;
        Some(nodes)
    }
}

impl<'s> Iterator for Operands<'s> {
    type Item = Expr<'s>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_nodes().map(Expr::of)
    }
}

impl fmt::Debug for Operands<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut remaining = *self;
        while let Some(nodes) = remaining.next_nodes() {
            print(nodes, f)?;
            f.write_str(if remaining.0.is_empty() { "" } else { ", " })?;
        }
        Ok(())
    }
}
