//! Frontends: the ways in.

use bytes::Bytes;
use octet_ir::{Diagnostic, Diagnostics, Module};

use crate::data::Tensor;

/// Reads one model format.
pub trait Frontend: Sync {
    /// File name endings, lower case, without the dot.
    fn extensions(&self) -> &'static [&'static str];
    /// Whether bytes that begin like this are of the format; `head` holds at least the first 64 bytes, or the whole file.
    fn recognizes(&self, head: &[u8]) -> bool;
    /// Whether the format leaves anything open that [`ImportOptions`] settle. Where it does not, options that were given are an error.
    fn takes_options(&self) -> bool {
        false
    }
    /// Reads a model. The bytes may be a memory map: constants share them. Warnings go into `notes`;
    /// all errors that can be found are reported at once.
    fn read(&self, bytes: Bytes, import: &Import<'_>, notes: &mut Diagnostics) -> Result<Module, Diagnostics>;
}

/// The order of an image's axes at the model's inputs and outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageLayout {
    /// Channels before height and width.
    Nchw,
    /// Channels innermost.
    Nhwc,
}

/// What a model file leaves open, and what the user wants otherwise than the file has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportOptions {
    /// Shapes of inputs, by name: `--shape image=1x3x224x224`.
    pub shapes: Vec<(String, Vec<usize>)>,
    /// Sizes of symbolic dimensions, by name: `--dim N=1`.
    pub dims: Vec<(String, usize)>,
    /// Layouts of inputs and outputs, by name; `None` stands for all that are images: `--layout nhwc`.
    pub layouts: Vec<(Option<String>, ImageLayout)>,
    /// Inputs that become constants, by name: `--constant axes=axes.npy`.
    pub constants: Vec<(String, Tensor)>,
    /// Recurrent layers become one operation where there is one, though its state lives on from run to run: `--keep-state`.
    pub keep_state: bool,
}

impl ImportOptions {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty() && self.dims.is_empty() && self.layouts.is_empty() && self.constants.is_empty() && !self.keep_state
    }
}

/// Opens a file beside the model by its relative path. Whoever provides it keeps it inside the model's folder.
pub type Siblings<'s> = dyn Fn(&str) -> Result<Bytes, Diagnostic> + 's;

/// What a frontend is given beside the file's bytes.
pub struct Import<'i> {
    /// The user's choices.
    pub options: &'i ImportOptions,
    /// Files beside the model.
    pub siblings: &'i Siblings<'i>,
}

impl<'i> Import<'i> {
    /// An import of bytes that stand alone: there is no file beside them.
    pub fn alone(options: &'i ImportOptions) -> Self {
        Self { options, siblings: &|path| Err(Diagnostic::error("PLG003", format!("the model has no file '{path}' beside it"))) }
    }
}

/// A registered frontend.
pub struct FrontendEntry {
    /// The format's name.
    pub name: &'static str,
    /// One sentence on what it reads.
    pub summary: &'static str,
    /// Crate and version.
    pub origin: &'static str,
    /// The frontend.
    pub frontend: &'static dyn Frontend,
}
