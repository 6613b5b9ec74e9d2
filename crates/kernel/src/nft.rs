//! nftables: what a table holds as plain typed data, batches of changes, the kernel that takes them, and a fake of it.
//!
//! [`Table`], [`Chain`], [`Set`], [`Element`] and [`Rule`] say what should be. A [`Batch`] is a list of changes as the
//! bytes that the kernel reads; it remembers who owns each message, so that an error names its owner. [`Nft`] is the
//! kernel of a network namespace; both it and its fake are [`Nftables`].

mod batch;
mod decode;
mod describe;
mod dump;
mod encode;
mod error;
mod fake;
mod faulty;
mod features;
mod kernel;
mod key;
mod monitor;
mod name;
mod object;
mod print;
mod read;
mod rule;
mod statement;
mod tables;
mod trace;
mod wire;

pub use batch::{Batch, Owner};
pub use error::{CommitError, DumpError, Refusal};
pub use fake::{Fake, Fault};
pub use faulty::Faulty;
pub use features::Features;
pub use kernel::Nft;
pub use key::{Data, DataType, Element, Field, Fields, IfPrefix, Key, ParseIfPrefixError, Value};
pub use monitor::{Foreign, Monitor, Notice, Touched};
pub use name::{Family, Name, NameError, TableId};
pub use object::{Base, Chain, ChainKind, ChainPolicy, Hook, Set, Table};
pub use read::read_anything;
pub use rule::{AnonymousSet, Rule, RuleError, SetRef, Verdict, merge_ranges};
pub use statement::{
    AddressKind, CtState, CtStatus, Direction, Limit, Load, LogLevel, LogTarget, Nat, NatKind, NatTarget, Op,
    Reject, Statement, Unit,
};
pub use tables::{
    ChainContents, Contents, Detail, Dump, Elements, Nftables, RuleContents, RuleHandle, SetContents,
};
pub use trace::{DropTracer, Dropped, Packet, TraceError};
