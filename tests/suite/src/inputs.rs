//! Inputs for a model, made from what LiteRT says about it: seeded, so that a failure can be had again.

use std::collections::BTreeMap;

use octet_peers::Array;
use serde_json::Value;

/// A small seeded generator (SplitMix64): the same seed gives the same numbers on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator that starts from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1_u32 << 24) as f32
    }

    /// About normal, mean 0 and variance 1: the sum of twelve uniform numbers less six.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }
}

/// `samples` random inputs for each of the inputs that `details` lists (the answer of a "details" job), named as a job
/// wants them: "0", "1", ... Floats are about normal, integers take their whole range, which real data never fills.
///
/// # Errors
/// If an input has a type that no test makes numbers of.
pub fn random(details: &Value, samples: usize, seed: u64) -> Result<BTreeMap<String, Array>, String> {
    let mut random = Random::new(seed);
    let mut arrays = BTreeMap::new();
    let inputs = details["inputs"].as_array().ok_or("no inputs in the details")?;
    for (i, input) in inputs.iter().enumerate() {
        let mut shape = vec![samples];
        for dimension in input["shape"].as_array().into_iter().flatten() {
            shape.push(dimension.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or("a dimension below zero")?);
        }
        let count: usize = shape.iter().product();
        let mut many = |to: fn(u64) -> Vec<u8>| -> Vec<u8> { (0..count).flat_map(|_| to(random.bits())).collect() };
        let kind = input["dtype"].as_str().unwrap_or_default();
        let array = match kind {
            "float32" => {
                let values: Vec<f32> = (0..count).map(|_| random.normal()).collect();
                Array::from_f32(&shape, &values)
            }
            "int8" => Array { bytes: many(|b| b.to_le_bytes()[..1].to_vec()), ..Array::from_i8(&[0], &[]) },
            "uint8" => Array { bytes: many(|b| b.to_le_bytes()[..1].to_vec()), ..Array::from_u8(&[0], &[]) },
            "int16" => Array { bytes: many(|b| b.to_le_bytes()[..2].to_vec()), ..Array::from_i16(&[0], &[]) },
            other => return Err(format!("input {i} is of type {other}")),
        };
        arrays.insert(i.to_string(), Array { shape, ..array });
    }
    Ok(arrays)
}
