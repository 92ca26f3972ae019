//! Edits as the interface has them: `plugins/wit/plugin.wit` says what each means.

/// A value that an edit names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueRef {
    /// A value of the graph.
    Old(u32),
    /// The value of this number among those that the edits make.
    New(u32),
}

/// The type of a new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeRef {
    /// That of a value of the graph.
    SameAs(u32),
    /// In the text form.
    Text(String),
}

/// A new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewValue {
    /// Its type.
    pub ty: TypeRef,
    /// Values whose source names it takes over.
    pub stands_for: Vec<u32>,
}

/// A new constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewConstant {
    /// The value.
    pub value: NewValue,
    /// Little-endian elements.
    pub bytes: Vec<u8>,
}

/// A new operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOp {
    /// The operation before which it runs.
    pub before: u32,
    /// What it computes.
    pub mnemonic: String,
    /// In the text form, braces included; empty for the defaults.
    pub attributes: String,
    /// What it reads.
    pub operands: Vec<Option<ValueRef>>,
    /// What it defines.
    pub results: Vec<NewValue>,
}

/// Readers of one value read another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// What they read.
    pub old: u32,
    /// What they shall read.
    pub new: ValueRef,
}

/// Another operand of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperandChange {
    /// The operation.
    pub op: u32,
    /// Which operand.
    pub operand: u32,
    /// The value, or none.
    pub value: Option<ValueRef>,
}

/// Another operation in the place of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpChange {
    /// The operation.
    pub op: u32,
    /// What it shall compute.
    pub mnemonic: String,
    /// Its attributes.
    pub attributes: String,
}

/// One change to a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Makes a constant.
    Constant(NewConstant),
    /// Makes an operation.
    Op(NewOp),
    /// Redirects readers.
    Replace(Replacement),
    /// Changes an operand.
    SetOperand(OperandChange),
    /// Changes an operation.
    SetOp(OpChange),
    /// Erases an operation.
    Erase(u32),
}

#[cfg(feature = "engine")]
mod from_plugins {
    use super::{Edit, NewConstant, NewOp, NewValue, OpChange, OperandChange, Replacement, TypeRef, ValueRef};
    use crate::bindings::octet::plugin::types as wit;

    impl From<wit::ValueRef> for ValueRef {
        fn from(value: wit::ValueRef) -> Self {
            match value {
                wit::ValueRef::Old(id) => Self::Old(id),
                wit::ValueRef::New(index) => Self::New(index),
            }
        }
    }

    impl From<wit::NewValue> for NewValue {
        fn from(value: wit::NewValue) -> Self {
            let ty = match value.ty {
                wit::TypeRef::SameAs(id) => TypeRef::SameAs(id),
                wit::TypeRef::Text(text) => TypeRef::Text(text),
            };
            Self { ty, stands_for: value.stands_for }
        }
    }

    impl From<wit::Edit> for Edit {
        fn from(edit: wit::Edit) -> Self {
            match edit {
                wit::Edit::Constant(new) => Self::Constant(NewConstant { value: new.value.into(), bytes: new.bytes }),
                wit::Edit::Op(new) => Self::Op(NewOp {
                    before: new.before,
                    mnemonic: new.mnemonic,
                    attributes: new.attributes,
                    operands: new.operands.into_iter().map(|v| v.map(ValueRef::from)).collect(),
                    results: new.results.into_iter().map(NewValue::from).collect(),
                }),
                wit::Edit::Replace(r) => Self::Replace(Replacement { old: r.old, new: r.new.into() }),
                wit::Edit::SetOperand(c) => {
                    Self::SetOperand(OperandChange { op: c.op, operand: c.operand, value: c.value.map(ValueRef::from) })
                }
                wit::Edit::SetOp(c) => Self::SetOp(OpChange { op: c.op, mnemonic: c.mnemonic, attributes: c.attributes }),
                wit::Edit::Erase(op) => Self::Erase(op),
            }
        }
    }
}
