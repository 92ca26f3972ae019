//! Loading, compiling and saving models, for the command and for programs that use Octet as a library. Nothing here prints.

mod compile;
mod load;
mod save;

pub use compile::{Compiled, Compiler, DATA_SET};
pub use load::{load, load_with_notes, read};
pub use save::{Destination, save, save_text};
