//! Rewrites: one pattern, one file, one answer.
//!
//! A rewrite looks at one operation and its neighbours and proposes a [`Patch`], or says why not. It changes nothing itself and keeps no
//! state. Its file's module doc says what it does and why that is legal, and shows IR before and after; a test runs exactly that text and
//! `docs/passes.md` quotes it.

mod driver;
mod pass;
pub(crate) mod pattern;

use octet_ir::{Graph, Module, OpId, Patch};

pub use driver::{EXPLANATION, rewrite_module};
pub(crate) use pass::{Selection, select};

/// Why a rewrite proposes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The pattern is not there.
    NoMatch,
    /// The pattern is there, but rewriting it would change nothing.
    NoEffect,
    /// The pattern is there, but rewriting it would be wrong or no gain: the reason, as a sentence that a user can act on.
    Check(String),
}

impl Refusal {
    /// A [`Refusal::Check`].
    pub fn check(why: impl Into<String>) -> Self {
        Self::Check(why.into())
    }
}

/// A pattern and what takes its place.
pub trait Rewrite: Sync {
    /// Its name: that of its file.
    fn name(&self) -> &'static str;
    /// The text of its file, whose module doc documents it.
    fn source(&self) -> &'static str;
    /// The patch that rewrites the pattern rooted at `op`: the last operation of the pattern in execution order.
    fn rewrite(&self, module: &Module, graph: &Graph, op: OpId) -> Result<Patch, Refusal>;
}

/// Declares a rewrite as a unit struct: `rewrite!(BiasAdd = "bias_add", bias_add)`, in the file `bias_add.rs`.
macro_rules! rewrite {
    ($name:ident = $text:literal, $function:path) => {
        pub(crate) struct $name;
        impl $crate::rewrite::Rewrite for $name {
            fn name(&self) -> &'static str {
                $text
            }
            fn source(&self) -> &'static str {
                include_str!(concat!($text, ".rs"))
            }
            fn rewrite(
                &self,
                module: &octet_ir::Module,
                graph: &octet_ir::Graph,
                op: octet_ir::OpId,
            ) -> Result<octet_ir::Patch, $crate::rewrite::Refusal> {
                $function(module, graph, op)
            }
        }
    };
}
pub(crate) use rewrite;
