//! The text form `octet.ir 1`: what snapshots compare, tests are written in, and reproducers consist of.
//!
//! `parse(print(m))` is `m`. Constants of up to [`INLINE_ELEMENTS`] elements stand in the text; larger ones are named by
//! number, length and hash, and their bytes travel in a side file that [`print`](fn@print) gives back and [`parse`] takes.
//!
//! ```text
//! module   = "octet.ir 1" header* graph*
//! header   = "description" STRING | "metadata" STRING "=" bytes
//!          | "signature" STRING "=" "@" INT "(" pairs ")" "->" "(" pairs ")"
//! graph    = "graph" "@" name "(" [value ":" type notes {"," ...}] ")" "{" statement* "return" [values] "}"
//! statement= value "=" "const" data ":" type notes
//!          | value "=" ("variable" | "unbound") ":" type notes
//!          | [values "="] mnemonic "(" [operands] ")" [attributes] [intermediates] [":" type notes {"," type notes}]
//! data     = "[" numbers "]" | "splat" "(" number ")" | "blob" "(" INT "," INT "," HEX ")" | bytes
//! type     = [dims] element | [dims] "!q<" element "," quantization ">"
//! notes    = ["range" "(" numbers "," numbers ")"] ["sparse" map] ["loc" "(" STRING {"," STRING} ")"]
//! ```

mod lexer;
mod parser;
mod printer;

pub use parser::{parse, parse_calls, parse_type};
pub use printer::{Printed, print, print_graph};

/// Constants of up to this many elements are printed in the text itself.
pub const INLINE_ELEMENTS: usize = 32;

/// A hash of a blob, so that a text and a side file that do not belong together are noticed (FNV-1a, 64 bits).
pub fn blob_hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
