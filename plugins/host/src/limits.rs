//! What a plugin may use up.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// Limits of one plugin. Those of fuel, memory, tables, instances, output and time hold for each call into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Instructions, roughly: units of the engine's fuel. The same on every machine.
    pub fuel: u64,
    /// Bytes of all linear memories together.
    pub memory: usize,
    /// Elements of all tables together.
    pub table_elements: usize,
    /// Core instances; as many memories and as many tables.
    pub instances: usize,
    /// Bytes that one call hands to the host, and bytes of all messages together.
    pub output: usize,
    /// Edits in one answer.
    pub edits: usize,
    /// Time of one call. The last resort: fuel should have stopped the plugin before.
    pub time: Duration,
    /// Bytes of the file.
    pub file: usize,
    /// Bytes of one function's code.
    pub function: usize,
    /// Functions of the file, imported ones not counted.
    pub functions: usize,
    /// Locals and operands that live at branches, summed over all branches of the file: what makes compiling slow.
    pub live: usize,
    /// Bytes of the stack.
    pub stack: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 2_000_000_000,
            memory: 256 << 20,
            table_elements: 100_000,
            instances: 32,
            output: 64 << 20,
            edits: 50_000,
            time: Duration::from_secs(20),
            file: 8 << 20,
            function: 256 << 10,
            functions: 50_000,
            live: 1 << 22,
            stack: 512 << 10,
        }
    }
}

impl Limits {
    /// Names and units of what [`set`](Self::set) takes.
    pub const NAMES: &[(&str, &str)] = &[
        ("fuel", "instructions"),
        ("memory", "bytes"),
        ("table-elements", ""),
        ("instances", ""),
        ("output", "bytes"),
        ("edits", ""),
        ("time", "ms"),
        ("file", "bytes"),
        ("function", "bytes"),
        ("functions", ""),
        ("live", ""),
    ];

    /// Sets a limit by its name. Answers false when there is none of that name.
    pub fn set(&mut self, name: &str, value: u64) -> bool {
        let size = usize::try_from(value).unwrap_or(usize::MAX);
        match name {
            "fuel" => self.fuel = value,
            "memory" => self.memory = size,
            "table-elements" => self.table_elements = size,
            "instances" => self.instances = size,
            "output" => self.output = size,
            "edits" => self.edits = size,
            "time" => self.time = Duration::from_millis(value),
            "file" => self.file = size,
            "function" => self.function = size,
            "functions" => self.functions = size,
            "live" => self.live = size,
            _ => return false,
        }
        true
    }
}

/// Counts what one store has.
#[derive(Debug)]
pub(crate) struct Meter {
    limits: Limits,
    memory: usize,
    table_elements: usize,
}

impl Meter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, memory: 0, table_elements: 0 }
    }
}

/// A limit of [`Meter`] was reached.
#[derive(Debug)]
pub(crate) struct Exceeded(pub(crate) String);

impl std::fmt::Display for Exceeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Exceeded {}

/// Adds what something grows by to its total.
fn grow(total: &mut usize, current: usize, desired: usize, limit: usize, what: &str) -> wasmtime::Result<bool> {
    let after = total.saturating_add(desired.saturating_sub(current));
    if after > limit {
        return Err(Exceeded(format!("it asked for {after} {what}; it may have {limit}")).into());
    }
    *total = after;
    Ok(true)
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        grow(&mut self.memory, current, desired, self.limits.memory, "bytes of memory")
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        grow(&mut self.table_elements, current, desired, self.limits.table_elements, "table elements")
    }

    fn instances(&self) -> usize {
        self.limits.instances
    }

    fn tables(&self) -> usize {
        self.limits.instances
    }

    fn memories(&self) -> usize {
        self.limits.instances
    }
}
