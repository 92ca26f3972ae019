//! Lookup tables: whole functions on 8 bits, piecewise linear ones on 16.

use super::quantize::Affine;

/// A table of `f` over every 8-bit input, indexed by the input's byte (so -1 is at 255). Values are computed and rounded in
/// `f32` (`LUTPopulate`). `signed` tells i8 storage from u8.
pub fn byte_table(input: Affine, output: Affine, signed: bool, f: impl Fn(f32) -> f32) -> [u8; 256] {
    byte_table_in(signed, |q| {
        let real = input.scale * (q.wrapping_sub(input.zero_point)) as f32;
        let rescaled = (f(real) * (1.0 / output.scale)).round();
        (rescaled + output.zero_point as f32) as i32
    })
}

/// A table of an integer function over every 8-bit input, saturated to the same storage, indexed by the input's byte.
pub fn byte_table_in(signed: bool, f: impl Fn(i32) -> i32) -> [u8; 256] {
    let mut table = [0u8; 256];
    for (byte, slot) in (0u8..=255).zip(&mut table) {
        *slot = if signed { f(i32::from(byte as i8)).clamp(-128, 127) as i8 as u8 } else { f(i32::from(byte)).clamp(0, 255) as u8 };
    }
    table
}

/// A piecewise linear function on 16-bit integers: 512 segments between 513 samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpolated {
    /// Samples at -32768, -32640, ..., 32640, and the end of the last segment.
    pub samples: Box<[i16; 513]>,
}

impl Interpolated {
    /// The value at `x` (`LUTLookup`): base plus slope times the low 7 bits, rounded half up.
    #[inline]
    pub fn at(&self, x: i16) -> i16 {
        let index = (256 + i32::from(x >> 7)) as usize & 511;
        let offset = i32::from(x & 0x7F);
        let base = self.samples[index];
        let slope = i32::from(self.samples[index + 1].wrapping_sub(base));
        (i32::from(base) + ((slope * offset + 64) >> 7)) as i16
    }
}

/// Samples `f` for [`Interpolated`], all in `f32`; each sample is moved by half of the error that a straight segment has in
/// its middle (`LUTPopulate<int16_t>`).
pub fn interpolated_table(input: Affine, output: Affine, f: impl Fn(f32) -> f32) -> Interpolated {
    const STEPS: usize = 512;
    let input_min = input.scale * (i32::from(i16::MIN) - input.zero_point) as f32;
    let input_max = input.scale * (i32::from(i16::MAX) - input.zero_point) as f32;
    let output_min = output.scale * (i32::from(i16::MIN) - output.zero_point) as f32;
    let output_max = output.scale * (i32::from(i16::MAX) - output.zero_point) as f32;
    let step = (input_max - input_min) / STEPS as f32;
    let half_step = step / 2.0;
    let inverse = 65536.0 / (output_max - output_min);
    #[expect(clippy::manual_clamp, reason = "a NaN becomes the lowest value instead of passing through")]
    let clamp = |x: f32| x.max(-32768.0).min(32767.0) as i16;

    let mut samples = Box::new([0i16; STEPS + 1]);
    for (i, slot) in samples.iter_mut().take(STEPS).enumerate() {
        let x = input_min + i as f32 * step;
        let value = f(x);
        let middle = f(x + half_step);
        let next = f(input_min + (i + 1) as f32 * step);
        let sample = (value * inverse).round();
        let straight = ((next * inverse + sample) / 2.0).round();
        let error = straight - (middle * inverse).round();
        *slot = clamp(sample - (error / 2.0).round());
    }
    samples[STEPS] = clamp((f(input_max) * inverse).round());
    Interpolated { samples }
}

/// `65536 / (1 + exp(-i / 24))`, the table behind 16-bit LOGISTIC and TANH. Its values are data of the kernels (44 of
/// them differ by one from what rounding gives), hence written out.
pub const SIGMOID_TABLE: [u16; 256] = [
    32768, 33451, 34133, 34813, 35493, 36169, 36843, 37513, 38180, 38841, 39498, 40149, 40794, 41432, 42064, 42688, 43304, 43912, 44511,
    45102, 45683, 46255, 46817, 47369, 47911, 48443, 48964, 49475, 49975, 50464, 50942, 51409, 51865, 52311, 52745, 53169, 53581, 53983,
    54374, 54755, 55125, 55485, 55834, 56174, 56503, 56823, 57133, 57433, 57724, 58007, 58280, 58544, 58800, 59048, 59288, 59519, 59743,
    59959, 60168, 60370, 60565, 60753, 60935, 61110, 61279, 61441, 61599, 61750, 61896, 62036, 62172, 62302, 62428, 62549, 62666, 62778,
    62886, 62990, 63090, 63186, 63279, 63368, 63454, 63536, 63615, 63691, 63765, 63835, 63903, 63968, 64030, 64090, 64148, 64204, 64257,
    64308, 64357, 64405, 64450, 64494, 64536, 64576, 64614, 64652, 64687, 64721, 64754, 64786, 64816, 64845, 64873, 64900, 64926, 64950,
    64974, 64997, 65019, 65039, 65060, 65079, 65097, 65115, 65132, 65149, 65164, 65179, 65194, 65208, 65221, 65234, 65246, 65258, 65269,
    65280, 65291, 65301, 65310, 65319, 65328, 65337, 65345, 65352, 65360, 65367, 65374, 65381, 65387, 65393, 65399, 65404, 65410, 65415,
    65420, 65425, 65429, 65433, 65438, 65442, 65445, 65449, 65453, 65456, 65459, 65462, 65465, 65468, 65471, 65474, 65476, 65479, 65481,
    65483, 65485, 65488, 65489, 65491, 65493, 65495, 65497, 65498, 65500, 65501, 65503, 65504, 65505, 65507, 65508, 65509, 65510, 65511,
    65512, 65513, 65514, 65515, 65516, 65517, 65517, 65518, 65519, 65520, 65520, 65521, 65522, 65522, 65523, 65523, 65524, 65524, 65525,
    65525, 65526, 65526, 65526, 65527, 65527, 65528, 65528, 65528, 65529, 65529, 65529, 65529, 65530, 65530, 65530, 65530, 65531, 65531,
    65531, 65531, 65531, 65532, 65532, 65532, 65532, 65532, 65532, 65533, 65533, 65533, 65533, 65533, 65533, 65533, 65533, 65534, 65534,
    65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65535,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_tables_are_indexed_by_byte() {
        let a = Affine { scale: 1.0, zero_point: 0 };
        let signed = byte_table(a, a, true, |x| -x);
        assert_eq!(signed[1] as i8, -1);
        assert_eq!(signed[0x80] as i8, 127);
        let unsigned = byte_table(Affine { scale: 1.0, zero_point: 128 }, a, false, |x| x);
        assert_eq!(unsigned[130], 2);
        assert_eq!(unsigned[0], 0);
    }

    #[test]
    fn interpolation_follows_the_function() {
        let a = Affine::symmetric(8.0 / 32768.0);
        let b = Affine::symmetric(1.0 / 32768.0);
        let table = interpolated_table(a, b, f32::tanh);
        for x in (i16::MIN..=i16::MAX).step_by(97) {
            let want = (a.dequantize(x.into()).tanh() * 32768.0).clamp(-32768.0, 32767.0);
            // Samples lie 65535/512 apart but are read as if 128 apart: up to one input step of drift, 8 units of output.
            // Bending and roundings add at most 4.
            let drift = 8.0 * (f32::from(x) + 32768.0) / 65536.0;
            assert!((f32::from(table.at(x)) - want).abs() <= 4.0 + drift, "{x}: {} for {want}", table.at(x));
        }
    }
}
