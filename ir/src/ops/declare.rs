//! The macro that declares an operation.

/// Declares an attribute struct with defaults and implements the static half of `OpSpec`.
///
/// `op! { /// doc\n Name = "mnemonic" [operands] infer function; { field: Type = default, ... } }`. Operands are written
/// `name` (required), `name?` (optional), `name..` (variadic) and `name!` (optional state).
macro_rules! op {
    (
        $(#[$doc:meta])*
        $name:ident = $mnemonic:literal [$($operands:tt)*] $infer:expr;
        { $($(#[$fdoc:meta])* $field:ident : $ty:ty = $default:expr),* $(,)? }
    ) => {
        op! { @struct $(#[$doc])* $name { $($(#[$fdoc])* $field : $ty = $default),* } }
        impl $crate::ops::OpSpec for $name {
            const MNEMONICS: &'static [&'static str] = &[$mnemonic];
            const OPERANDS: &'static [$crate::ops::Operand] = operands!($($operands)*);
            fn infer(&self, cx: &$crate::ops::InferCx<'_>) -> Result<Vec<$crate::ops::Inferred>, $crate::ops::InferError> {
                let infer: fn(&Self, &$crate::ops::InferCx<'_>) -> Result<Vec<$crate::ops::Inferred>, $crate::ops::InferError> = $infer;
                infer(self, cx)
            }
        }
    };
    (
        $(#[$doc:meta])*
        family $name:ident($kind:ident) [$($operands:tt)*] $infer:expr;
        { $($(#[$fdoc:meta])* $field:ident : $ty:ty = $default:expr),* $(,)? }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            /// Which member of the family; the mnemonic says it in the text form.
            #[serde(skip)]
            pub kind: $kind,
            $($(#[$fdoc])* pub $field: $ty,)*
        }
        impl Default for $name {
            fn default() -> Self {
                Self { kind: $kind::ALL[0], $($field: $default),* }
            }
        }
        impl $crate::ops::OpSpec for $name {
            const MNEMONICS: &'static [&'static str] = $kind::MNEMONICS;
            const OPERANDS: &'static [$crate::ops::Operand] = operands!($($operands)*);
            fn mnemonic(&self) -> &'static str {
                self.kind.mnemonic()
            }
            fn set_mnemonic(&mut self, mnemonic: &str) {
                if let Some(kind) = $kind::from_mnemonic(mnemonic) {
                    self.kind = kind;
                }
            }
            fn infer(&self, cx: &$crate::ops::InferCx<'_>) -> Result<Vec<$crate::ops::Inferred>, $crate::ops::InferError> {
                let infer: fn(&Self, &$crate::ops::InferCx<'_>) -> Result<Vec<$crate::ops::Inferred>, $crate::ops::InferError> = $infer;
                infer(self, cx)
            }
        }
    };
    (@struct $(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $ty:ty = $default:expr),* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$fdoc])* pub $field: $ty,)*
        }
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }
    };
}

/// Declares the kinds of a family: variant, mnemonic and doc sentence in one row.
macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $mnemonic:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),* }
        impl $name {
            /// All members in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            pub(crate) const MNEMONICS: &'static [&'static str] = &[$($mnemonic),*];
            /// The mnemonic of this member.
            pub fn mnemonic(self) -> &'static str {
                match self { $(Self::$variant => $mnemonic),* }
            }
            /// The member with this mnemonic.
            pub fn from_mnemonic(mnemonic: &str) -> Option<Self> {
                match mnemonic { $($mnemonic => Some(Self::$variant),)* _ => None }
            }
        }
        impl Default for $name {
            fn default() -> Self {
                Self::ALL[0]
            }
        }
    };
}

/// Turns the operand notation of `op!` into a table.
macro_rules! operands {

    (@go [$($done:expr,)*]) => { &[$($done),*] };
    (@go [$($done:expr,)*] $name:ident ? $(, $($rest:tt)*)?) => {
        operands!(@go [$($done,)* $crate::ops::Operand { name: stringify!($name), arity: $crate::ops::Arity::Optional, is_state: false },] $($($rest)*)?)
    };
    (@go [$($done:expr,)*] $name:ident ! $(, $($rest:tt)*)?) => {
        operands!(@go [$($done,)* $crate::ops::Operand { name: stringify!($name), arity: $crate::ops::Arity::Optional, is_state: true },] $($($rest)*)?)
    };
    (@go [$($done:expr,)*] $name:ident .. $(, $($rest:tt)*)?) => {
        operands!(@go [$($done,)* $crate::ops::Operand { name: stringify!($name), arity: $crate::ops::Arity::Variadic, is_state: false },] $($($rest)*)?)
    };
    (@go [$($done:expr,)*] $name:ident $(, $($rest:tt)*)?) => {
        operands!(@go [$($done,)* $crate::ops::Operand { name: stringify!($name), arity: $crate::ops::Arity::Required, is_state: false },] $($($rest)*)?)
    };
    ($($rest:tt)*) => { operands!(@go [] $($rest)*) };
}
