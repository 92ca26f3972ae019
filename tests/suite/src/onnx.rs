//! Small ONNX files, written field by field: tests of the importer must not depend on what a Python package writes today.

/// Writes messages of protocol buffers.
#[derive(Clone, Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn int(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value.cast_unsigned());
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn message(self, field: u64, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }
}

/// An attribute of a node.
#[derive(Clone, Debug)]
pub enum Attribute {
    /// A number.
    Int(i64),
    /// A real.
    Float(f32),
    /// Numbers.
    Ints(Vec<i64>),
    /// A text.
    Text(&'static str),
}

impl Attribute {
    fn message(&self, name: &str) -> Message {
        let named = Message::default().bytes(1, name.as_bytes());
        match self {
            Self::Float(value) => named.float(2, *value).int(20, 1),
            Self::Int(value) => named.int(3, *value).int(20, 2),
            Self::Text(text) => named.bytes(4, text.as_bytes()).int(20, 3),
            Self::Ints(values) => values.iter().fold(named, |m, &v| m.int(8, v)).int(20, 7),
        }
    }
}

/// A model under construction: one graph of ONNX's own operators.
#[derive(Clone, Debug, Default)]
pub struct Model {
    graph: Message,
    state: u64,
}

impl Model {
    /// An empty one; random weights follow from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { graph: Message::default(), state: seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15) }
    }

    fn port(name: &str, shape: &[i64]) -> Message {
        let dims: Vec<String> = shape.iter().map(i64::to_string).collect();
        Self::typed_port(name, 1, &dims.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// A size that is no number is a symbol.
    fn typed_port(name: &str, data_type: i64, shape: &[&str]) -> Message {
        let dim = |d: &str| d.parse().map_or_else(|_| Message::default().bytes(2, d.as_bytes()), |size| Message::default().int(1, size));
        let dims = shape.iter().fold(Message::default(), |m, d| m.message(1, &dim(d)));
        let tensor = Message::default().int(1, data_type).message(2, &dims);
        Message::default().bytes(1, name.as_bytes()).message(2, &Message::default().message(1, &tensor))
    }

    fn add(&mut self, field: u64, message: &Message) {
        self.graph = std::mem::take(&mut self.graph).message(field, message);
    }

    /// An input of reals.
    pub fn input(&mut self, name: &str, shape: &[i64]) {
        self.add(11, &Self::port(name, shape));
    }

    /// An input of another type, by ONNX's number, with symbols among its sizes.
    pub fn typed_input(&mut self, name: &str, data_type: i64, shape: &[&str]) {
        self.add(11, &Self::typed_port(name, data_type, shape));
    }

    /// An output of reals.
    pub fn output(&mut self, name: &str, shape: &[i64]) {
        self.add(12, &Self::port(name, shape));
    }

    /// A node; `""` stands for an input that is left out.
    pub fn node(&mut self, operator: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, Attribute)]) {
        self.node_of("", operator, inputs, outputs, attributes);
    }

    /// A node of another domain than ONNX's own.
    pub fn node_of(&mut self, domain: &str, operator: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, Attribute)]) {
        let node = inputs.iter().fold(Message::default(), |m, i| m.bytes(1, i.as_bytes()));
        let node = outputs.iter().fold(node, |m, o| m.bytes(2, o.as_bytes())).bytes(4, operator.as_bytes());
        let node = attributes.iter().fold(node, |m, (name, a)| m.message(5, &a.message(name)));
        self.add(1, &if domain.is_empty() { node } else { node.bytes(7, domain.as_bytes()) });
    }

    /// A constant of a type by ONNX's number, of these bytes.
    pub fn initializer(&mut self, name: &str, shape: &[i64], data_type: i64, raw: &[u8]) {
        let tensor = shape.iter().fold(Message::default(), |m, &d| m.int(1, d)).int(2, data_type);
        self.add(5, &tensor.bytes(8, name.as_bytes()).bytes(9, raw));
    }

    /// Constant reals.
    pub fn reals(&mut self, name: &str, shape: &[i64], values: &[f32]) {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.initializer(name, shape, 1, &raw);
    }

    /// Constant 64-bit integers in a vector.
    pub fn ints(&mut self, name: &str, values: &[i64]) {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.initializer(name, &[values.len() as i64], 7, &raw);
    }

    /// Random weights within `reach` on either side of 0.
    pub fn weights(&mut self, name: &str, shape: &[i64], reach: f32) {
        let count = shape.iter().product::<i64>();
        let mut next = || {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            (self.state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        let values: Vec<f32> = (0..count).map(|_| reach * next()).collect();
        self.reals(name, shape, &values);
    }

    /// The file: IR version 9, opset 20.
    #[must_use]
    pub fn file(&self) -> Vec<u8> {
        let graph = self.graph.clone().bytes(2, b"graph");
        let opset = |domain: &str, version: i64| Message::default().bytes(1, domain.as_bytes()).int(2, version);
        Message::default().int(1, 9).message(7, &graph).message(8, &opset("", 20)).message(8, &opset("com.microsoft", 1)).0
    }
}
