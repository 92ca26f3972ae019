//! Options of the `quantize` pass under the names that users know.

use octet_ir::{Attr, Diagnostic, ElementType, from_attr};
use octet_plugin::Options;
use serde::{Deserialize, Serialize};

use super::params::Width;
use super::rules::Kernels;

/// What becomes of the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// int8 weights, float activations that the kernel quantizes when it runs.
    #[serde(rename = "dynamic-range")]
    DynamicRange,
    /// Constants in half precision.
    #[serde(rename = "float16")]
    Float16,
    /// int8 weights and activations; what cannot be quantized stays in float, and is reported.
    #[default]
    #[serde(rename = "int8")]
    Int8,
    /// int8 throughout, or no result.
    #[serde(rename = "int8-only")]
    Int8Only,
    /// int8 weights, int16 activations; what cannot be quantized stays in float, and is reported.
    #[serde(rename = "int16x8")]
    Int16x8,
}

impl Mode {
    /// The width of activations, for modes that quantize them: those need ranges.
    pub fn width(self) -> Option<Width> {
        match self {
            Self::DynamicRange | Self::Float16 => None,
            Self::Int8 | Self::Int8Only => Some(Width::I8),
            Self::Int16x8 => Some(Width::I16),
        }
    }

    /// The name that users write.
    pub fn name(self) -> &'static str {
        match self {
            Self::DynamicRange => "dynamic-range",
            Self::Float16 => "float16",
            Self::Int8 => "int8",
            Self::Int8Only => "int8-only",
            Self::Int16x8 => "int16x8",
        }
    }

    /// Whether activations become integers too, so that their ranges must be known.
    pub fn quantizes_activations(self) -> bool {
        match self {
            Self::DynamicRange | Self::Float16 => false,
            Self::Int8 | Self::Int8Only | Self::Int16x8 => true,
        }
    }
}

/// Element type of the model's real inputs and outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Io {
    /// As the float model has them.
    Float32,
    /// int8.
    Int8,
    /// uint8: a QUANTIZE at the border shifts the zero point by 128.
    Uint8,
    /// int16.
    Int16,
}

impl Io {
    /// The name that users write.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Int8 => "int8",
            Self::Uint8 => "uint8",
            Self::Int16 => "int16",
        }
    }

    /// The element type.
    pub fn elem(self) -> ElementType {
        match self {
            Self::Float32 => ElementType::F32,
            Self::Int8 => ElementType::I8,
            Self::Uint8 => ElementType::U8,
            Self::Int16 => ElementType::I16,
        }
    }
}

/// The runtime whose kernels the result must run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// LiteRT (TensorFlow Lite).
    #[default]
    Litert,
    /// TFLite Micro.
    Tflm,
    /// Both.
    Both,
}

impl Runtime {
    /// The name that pipelines and the command use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Litert => "litert",
            Self::Tflm => "tflm",
            Self::Both => "both",
        }
    }

    /// Whether these kernels serve the runtime.
    pub fn has(self, kernels: Kernels) -> bool {
        match self {
            Self::Litert => kernels.litert,
            Self::Tflm => kernels.tflm,
            Self::Both => kernels.litert && kernels.tflm,
        }
    }
}

/// Options of the `quantize` pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuantizeOptions {
    /// What becomes of the numbers.
    pub mode: Mode,
    /// Element type of inputs and outputs; by default float32, but int8 for `int8-only` and int16 for `int16x8`.
    pub io: Option<Io>,
    /// Whose kernels the result must run on.
    pub runtime: Runtime,
}

impl QuantizeOptions {
    /// Reads the options that a pipeline gives (`QNT001` when one is unknown or wrong, `QNT002` when `mode` and `io` contradict each other).
    pub fn parse(options: Options) -> Result<Self, Diagnostic> {
        let parsed: Self = from_attr(Attr::Map(options)).map_err(|e| {
            Diagnostic::error("QNT001", format!("options of quantize: {e}"))
                .with_help("mode is dynamic-range, float16, int8, int8-only or int16x8; io is float32, int8, uint8 or int16; runtime is litert, tflm or both")
        })?;
        parsed.check()?;
        Ok(parsed)
    }

    /// The element type of inputs and outputs.
    pub fn io(&self) -> Io {
        self.io.unwrap_or(match self.mode {
            Mode::DynamicRange | Mode::Float16 | Mode::Int8 => Io::Float32,
            Mode::Int8Only => Io::Int8,
            Mode::Int16x8 => Io::Int16,
        })
    }

    /// Whether `mode` and `io` fit each other (`QNT002`).
    pub fn check(&self) -> Result<(), Diagnostic> {
        let fits: &[Io] = match self.mode {
            Mode::DynamicRange | Mode::Float16 => &[Io::Float32],
            Mode::Int8 => &[Io::Float32, Io::Int8, Io::Uint8],
            Mode::Int8Only => &[Io::Int8, Io::Uint8],
            Mode::Int16x8 => &[Io::Float32, Io::Int16],
        };
        if fits.contains(&self.io()) {
            return Ok(());
        }
        let names: Vec<&str> = fits.iter().map(|io| io.name()).collect();
        let message = format!("mode {} does not go with {} inputs and outputs", self.mode.name(), self.io().name());
        Err(Diagnostic::error("QNT002", message).with_help(format!("io may be {} in this mode", names.join(" or "))))
    }
}
