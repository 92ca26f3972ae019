//! Makes plugins from text: a core module in which each test changes one thing, with edits laid out as the canonical ABI wants them.

use octet_plugin_host::pack;

/// Where edits and their parts lie in the guest's memory.
const BASE: u32 = 0x1_0000;

/// What a test changes of an innocent plugin.
pub(crate) struct Guest {
    /// Name, version, summary.
    pub(crate) about: [Vec<u8>; 3],
    /// Further imports, functions, tables.
    pub(crate) items: String,
    /// The memory.
    pub(crate) memory: String,
    /// What `cabi_realloc` does first; its last parameter is the size.
    pub(crate) realloc: String,
    /// What `describe` does; leaves a pointer.
    pub(crate) describe: String,
    /// What `run` does; leaves a pointer.
    pub(crate) run: String,
    /// What lies at [`BASE`].
    pub(crate) image: Vec<u8>,
}

impl Default for Guest {
    /// Answers with no edits.
    fn default() -> Self {
        Self {
            about: ["guest", "1.0.0", "A guest."].map(|s| s.as_bytes().to_vec()),
            items: String::new(),
            memory: "4".into(),
            realloc: String::new(),
            describe: "(i32.const 1000)".into(),
            run: "(call $drop (local.get $graph)) (i32.const 2000)".into(),
            image: Vec::new(),
        }
    }
}

impl Guest {
    pub(crate) fn running(run: &str) -> Self {
        Self { run: run.into(), ..Self::default() }
    }

    /// Answers with these edits.
    pub(crate) fn editing(memory: Memory, edits: &[Vec<u8>]) -> Self {
        let mut memory = memory;
        let list = memory.put(&edits.concat(), 4);
        let answer = memory.put(&[0u32, list, u32::try_from(edits.len()).expect("few")].map(u32::to_le_bytes).concat(), 4);
        let run = format!("(call $drop (local.get $graph)) (i32.const {answer})");
        let pages = (BASE as usize + memory.0.len()).div_ceil(65536) + 2;
        Self { run, image: memory.0, memory: pages.to_string(), ..Self::default() }
    }

    /// The core module as text.
    pub(crate) fn text(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("\\{b:02x}")).collect::<String>();
        let mut at = 1100u32;
        let mut strings = String::new();
        let mut record = Vec::new();
        for part in &self.about {
            let length = u32::try_from(part.len()).expect("short");
            strings += &format!("(data (i32.const {at}) \"{}\")\n", hex(part));
            record.extend([at, length].map(u32::to_le_bytes).concat());
            at += length;
        }
        format!(
            r#"(module
  (import "octet:plugin/host@0.1.0" "[resource-drop]graph" (func $drop (param i32)))
  (import "octet:plugin/host@0.1.0" "[method]graph.ops" (func $ops (param i32 i32)))
  (import "octet:plugin/host@0.1.0" "[method]graph.op" (func $op (param i32 i32 i32)))
  (import "octet:plugin/host@0.1.0" "log" (func $log (param i32 i32)))
  {items}
  (memory (export "memory") {memory})
  (global $heap (mut i32) (i32.const 4096))
  (data (i32.const 1000) "{record}")
  {strings}
  (data (i32.const {BASE}) "{image}")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    {realloc}
    (global.set $heap (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get 3))))
  (func (export "octet:plugin/pass@0.1.0#describe") (result i32) {describe})
  (func (export "octet:plugin/pass@0.1.0#run") (param $graph i32) (param i32 i32) (result i32) (local $i i32) {run}))"#,
            items = self.items,
            memory = self.memory,
            realloc = self.realloc,
            record = hex(&record),
            image = hex(&self.image),
            describe = self.describe,
            run = self.run,
        )
    }

    /// The plugin.
    pub(crate) fn build(&self) -> Vec<u8> {
        let core = wat::parse_str(self.text()).unwrap_or_else(|e| panic!("{e}\n{}", self.text()));
        pack(&core).unwrap_or_else(|e| panic!("{e}"))
    }
}

/// The guest's memory from [`BASE`] on.
#[derive(Default)]
pub(crate) struct Memory(Vec<u8>);

/// A value that an edit names.
#[derive(Clone, Copy)]
pub(crate) enum Ref {
    Old(u32),
    New(u32),
}

impl Ref {
    fn bytes(self) -> Vec<u8> {
        let (tag, id) = match self {
            Self::Old(id) => (0u32, id),
            Self::New(id) => (1, id),
        };
        words(&[tag, id])
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

/// An edit of any kind: its tag and its payload, padded to the largest.
fn edit(tag: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = words(&[tag]);
    bytes.extend(payload);
    bytes.resize(40, 0);
    bytes
}

impl Memory {
    pub(crate) fn put(&mut self, bytes: &[u8], align: usize) -> u32 {
        self.0.resize(self.0.len().next_multiple_of(align), 0);
        let at = BASE + u32::try_from(self.0.len()).expect("small");
        self.0.extend(bytes);
        at
    }

    pub(crate) fn string(&mut self, text: &str) -> Vec<u8> {
        let at = self.put(text.as_bytes(), 1);
        words(&[at, u32::try_from(text.len()).expect("short")])
    }

    /// A new value of a type in the text form.
    fn new_value(&mut self, ty: &str) -> Vec<u8> {
        let mut bytes = words(&[1]);
        bytes.extend(self.string(ty));
        bytes.extend(words(&[BASE, 0]));
        bytes
    }

    pub(crate) fn constant(&mut self, ty: &str, data: &[u8]) -> Vec<u8> {
        let mut payload = self.new_value(ty);
        let at = self.put(data, 1);
        payload.extend(words(&[at, u32::try_from(data.len()).expect("short")]));
        edit(0, &payload)
    }

    pub(crate) fn op(&mut self, before: u32, mnemonic: &str, attributes: &str, operands: &[Ref], results: &[&str]) -> Vec<u8> {
        let mut payload = words(&[before]);
        payload.extend(self.string(mnemonic));
        payload.extend(self.string(attributes));
        let read: Vec<u8> = operands.iter().flat_map(|v| [words(&[1]), v.bytes()].concat()).collect();
        payload.extend(words(&[self.put(&read, 4), u32::try_from(operands.len()).expect("few")]));
        let made: Vec<u8> = results.iter().flat_map(|ty| self.new_value(ty)).collect();
        payload.extend(words(&[self.put(&made, 4), u32::try_from(results.len()).expect("few")]));
        edit(1, &payload)
    }

    pub(crate) fn set_op(&mut self, op: u32, mnemonic: &str, attributes: &str) -> Vec<u8> {
        let payload = [words(&[op]), self.string(mnemonic), self.string(attributes)].concat();
        edit(4, &payload)
    }
}

pub(crate) fn replace(old: u32, new: Ref) -> Vec<u8> {
    edit(2, &[words(&[old]), new.bytes()].concat())
}

pub(crate) fn set_operand(op: u32, operand: u32, value: Option<Ref>) -> Vec<u8> {
    let value = value.map_or_else(|| words(&[0]), |v| [words(&[1]), v.bytes()].concat());
    edit(3, &[words(&[op, operand]), value].concat())
}

pub(crate) fn erase(op: u32) -> Vec<u8> {
    edit(5, &words(&[op]))
}

/// An edit of no kind.
pub(crate) fn unknown_edit() -> Vec<u8> {
    edit(17, &[])
}
