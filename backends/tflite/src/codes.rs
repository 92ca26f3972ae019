//! What can keep a module from being written: one stable code per kind.

/// A number does not fit the format: a dimension or an index beyond 31 bits, too many bytes for one flatbuffer.
pub const TOO_LARGE: &str = "TFW001";
/// Packed options of an unmodelled operator that do not unpack: they were not read from a TFLite file.
pub const OPAQUE: &str = "TFW002";
/// Options of the backend that do not exist.
pub const OPTION: &str = "TFW003";
