//! Compiled models: what the custom operation `edgetpu-custom-op` carries.
//!
//! Its options are a flexbuffer map whose entry `4` is a package: a flatbuffer of libedgetpu's public `executable.fbs`. Read are the sizes and names that the
//! runtime reads. The instructions themselves are not public, so nothing is said of them but their size; which operations of the original were mapped is not
//! in the file and is not guessed.

use octet_ir::{Module, Op, Operation};
use serde::Serialize;

use crate::cursor::Table;
use crate::flex::Map;
use crate::memory::Parameters;

/// The name of the custom operation.
pub const CUSTOM_OP: &str = "edgetpu-custom-op";

/// What one custom operation carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Package {
    /// Bytes of the package.
    pub bytes: usize,
    /// The oldest runtime that runs it.
    pub min_runtime_version: i32,
    /// What the compiler calls itself.
    pub compiler_version: String,
    /// The executables, in the order of the file.
    pub executables: Vec<Executable>,
    /// Keys of other entries of the operation's options, whose meaning is not public.
    pub other_entries: Vec<String>,
}

/// One executable of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Executable {
    /// What it is for.
    pub kind: Kind,
    /// The chip's name.
    pub chip: String,
    /// Bytes of parameters.
    pub parameter_bytes: usize,
    /// Bytes of instructions.
    pub instruction_bytes: usize,
    /// Bytes of scratch memory.
    pub scratch_bytes: i32,
    /// Executables with the same token keep their parameters on the chip together.
    pub caching_token: u64,
    /// What goes in.
    pub inputs: Vec<Layer>,
    /// What comes out.
    pub outputs: Vec<Layer>,
}

/// What an executable is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Brings its parameters along at every inference.
    StandAlone,
    /// Loads parameters into the chip's memory, once.
    ParameterCaching,
    /// Runs with the parameters that another executable has loaded; its own are streamed.
    ExecutionOnly,
    /// A kind that is not in the public schema.
    Unknown,
}

/// An input or output of an executable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Name of the tensor.
    pub name: String,
    /// Bytes with padding.
    pub bytes: i32,
    /// Height, width and channels.
    pub shape: [i32; 3],
}

impl Package {
    /// Reads the options of an `edgetpu-custom-op`; `None` if they are no such thing.
    pub fn read(options: &[u8]) -> Option<Self> {
        let map = Map::root(options)?;
        let blob = map.get("4")?;
        let other_entries = map.keys().filter(|key| *key != "4").map(str::to_owned).collect();
        let package = Table::root(blob)?;
        let multi = Table::root(package.bytes(1)?)?;
        Some(Self {
            bytes: blob.len(),
            min_runtime_version: package.i32(0),
            compiler_version: package.text(4).unwrap_or_default(),
            executables: multi.strings(0).into_iter().filter_map(Table::root).map(executable).collect(),
            other_entries,
        })
    }

    /// Whether an operation is a compiled one, even one that cannot be read.
    pub fn is_in(operation: &Operation) -> bool {
        matches!(operation.op(), Op::Custom(custom) if custom.name == CUSTOM_OP)
    }

    /// Reads an operation; `None` if it is not compiled, or its options cannot be read.
    pub fn of(operation: &Operation) -> Option<Self> {
        match operation.op() {
            Op::Custom(custom) if custom.name == CUSTOM_OP => Self::read(&custom.options.0),
            _ => None,
        }
    }

    /// What the file says of its parameters: nothing is predicted.
    pub fn parameters(&self) -> Parameters {
        let bytes = self.cached_bytes().saturating_add(self.streamed_bytes());
        Parameters { on_chip: bytes, stored: bytes }
    }

    /// Bytes of parameters that stay on the chip.
    pub fn cached_bytes(&self) -> usize {
        self.sum(|e| if e.kind == Kind::ParameterCaching { e.parameter_bytes } else { 0 })
    }

    /// Bytes of parameters that are streamed at every inference.
    pub fn streamed_bytes(&self) -> usize {
        self.sum(|e| if e.kind == Kind::ParameterCaching { 0 } else { e.parameter_bytes })
    }

    fn sum(&self, of: impl Fn(&Executable) -> usize) -> usize {
        self.executables.iter().map(of).fold(0, usize::saturating_add)
    }
}

fn executable(table: Table<'_>) -> Executable {
    let layers = |id| table.tables(id).into_iter().map(layer).collect();
    Executable {
        kind: match table.i16(13) {
            0 => Kind::StandAlone,
            1 => Kind::ParameterCaching,
            2 => Kind::ExecutionOnly,
            _ => Kind::Unknown,
        },
        chip: table.text(10).unwrap_or_default(),
        parameter_bytes: table.bytes(6).map_or(0, <[u8]>::len),
        instruction_bytes: table.tables(5).into_iter().map(|t| t.bytes(0).map_or(0, <[u8]>::len)).fold(0, usize::saturating_add),
        scratch_bytes: table.i32(4),
        caching_token: table.u64(14),
        inputs: layers(8),
        outputs: layers(9),
    }
}

fn layer(table: Table<'_>) -> Layer {
    Layer { name: table.text(0).unwrap_or_default(), bytes: table.i32(1), shape: [table.i32(2), table.i32(3), table.i32(4)] }
}

/// The packages of a module's main graph, with the index of the operation that carries each.
pub fn packages(module: &Module) -> Vec<(usize, Package)> {
    module.main().ops().enumerate().filter_map(|(index, (_, operation))| Some((index, Package::of(operation)?))).collect()
}
