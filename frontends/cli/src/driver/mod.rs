//! Loading, compiling, running and saving models, for the command and for programs that use Octet as a library. Nothing here prints.

mod compile;
mod load;
mod metrics;
mod real;
mod samples;
mod save;

pub use compile::{Compiled, Compiler, DATA_SET};
pub use load::{load, load_with, load_with_notes, read};
pub use metrics::{Comparison, Difference, argmax};
pub use real::{dequantized, numbers, real};
pub use samples::{Feeder, Plan, for_each_sample};
pub use save::{Destination, save, save_printed, save_text};
