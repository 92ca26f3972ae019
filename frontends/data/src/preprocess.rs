//! What happens to values between the file and the model: `scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,resize=bilinear`.

use std::str::FromStr;

use octet_ir::Diagnostic;

/// How pictures are resampled to the size of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeFilter {
    /// The nearest pixel.
    Nearest,
    /// Linear, over the whole footprint of a pixel when shrinking.
    Bilinear,
    /// Catmull-Rom.
    Bicubic,
    /// Lanczos with window 3.
    Lanczos,
}

/// Preprocessing of one input, or of all.
///
/// Values are computed in `f32`, each step rounded, in this order: `(x * scale - mean) / std`, as NumPy does with `float32` arrays. `scale=1/255` divides
/// by 255. A list `a:b:c` has one value for each index of the innermost axis (channels).
///
/// ```
/// use octet_data::Preprocess;
///
/// let p: Preprocess = "scale=1/255,mean=0.5,std=0.25".parse()?;
/// assert_eq!(p.apply(255.0, 0), 2.0);
/// # Ok::<(), octet_ir::Diagnostic>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preprocess {
    /// The input that it is for; `None` for every input that takes real numbers.
    pub input: Option<String>,
    /// Factors, numerator and denominator.
    pub scale: Vec<(f32, f32)>,
    /// Subtracted after scaling.
    pub mean: Vec<f32>,
    /// Divides what is left.
    pub std: Vec<f32>,
    /// Pictures of another size are resampled; `None`: they are an error.
    pub resize: Option<ResizeFilter>,
    /// Pictures keep their aspect ratio when they are resampled, and what overhangs is cut off on both sides alike.
    pub crop: bool,
}

impl Preprocess {
    /// The value that the model sees for `x` at index `channel` of the innermost axis.
    pub fn apply(&self, x: f32, channel: usize) -> f32 {
        let at = |list: &[f32], otherwise| list.get(if list.len() == 1 { 0 } else { channel }).copied().unwrap_or(otherwise);
        let (numerator, denominator) = self.scale.get(if self.scale.len() == 1 { 0 } else { channel }).copied().unwrap_or((1.0, 1.0));
        let scaled = if denominator == 1.0 { x * numerator } else { x * numerator / denominator };
        (scaled - at(&self.mean, 0.0)) / at(&self.std, 1.0)
    }

    /// [`apply`](Self::apply) to samples whose innermost axis has `channels` entries.
    pub(crate) fn apply_all(&self, values: &mut [f32], channels: usize) {
        if let (&[(numerator, denominator)], true) = (self.scale.as_slice(), self.mean.is_empty() && self.std.is_empty()) {
            let scale = |x: f32| if denominator == 1.0 { x * numerator } else { x * numerator / denominator };
            return values.iter_mut().for_each(|v| *v = scale(*v));
        }
        for sample in values.chunks_mut(channels) {
            for (channel, value) in sample.iter_mut().enumerate() {
                *value = self.apply(*value, channel);
            }
        }
    }

    /// Whether values change at all.
    pub fn changes_values(&self) -> bool {
        !(self.scale.is_empty() && self.mean.is_empty() && self.std.is_empty())
    }

    /// The longest per-channel list.
    pub(crate) fn channels(&self) -> usize {
        self.scale.len().max(self.mean.len()).max(self.std.len())
    }
}

impl FromStr for Preprocess {
    type Err = Diagnostic;

    /// `[INPUT:]KEY=VALUE,...`; the error is `DAT030`.
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let wrong = |what: String| {
            Diagnostic::error("DAT030", format!("--preprocess '{text}': {what}")).with_help(
                "the form is scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,resize=bilinear,crop=center, \
                 each part optional, and INPUT: before it to mean one input only",
            )
        };
        let mut out = Self::default();
        // An input's name may hold a colon; keys and values before the first '=' do not.
        let head = text.split('=').next().unwrap_or_default();
        let rest = match head.rfind(':') {
            Some(at) => {
                out.input = text.get(..at).map(str::to_owned);
                text.get(at + 1..).unwrap_or_default()
            }
            None => text,
        };
        let mut seen: Vec<&str> = Vec::new();
        for part in rest.split(',') {
            let (key, value) = part.split_once('=').ok_or_else(|| wrong(format!("'{part}' has no '='")))?;
            let (key, value) = (key.trim(), value.trim());
            if seen.contains(&key) {
                return Err(wrong(format!("'{key}' stands twice")));
            }
            seen.push(key);
            let numbers = || -> Result<Vec<f32>, Diagnostic> {
                let each = |v| number(v).ok_or_else(|| wrong(format!("'{v}' is no finite number")));
                value.split(':').map(each).collect()
            };
            match key {
                "scale" => {
                    let fraction = |v: &str| {
                        let (a, b) = v.split_once('/').unwrap_or((v, "1"));
                        Some((number(a)?, number(b).filter(|b| *b != 0.0)?))
                    };
                    let each = |v| fraction(v).ok_or_else(|| wrong(format!("'{v}' is no finite number or fraction")));
                    out.scale = value.split(':').map(each).collect::<Result<_, _>>()?;
                }
                "mean" => out.mean = numbers()?,
                "std" => {
                    out.std = numbers()?;
                    if out.std.contains(&0.0) {
                        return Err(wrong("std divides and cannot be 0".into()));
                    }
                }
                "resize" => {
                    out.resize = Some(match value {
                        "nearest" => ResizeFilter::Nearest,
                        "bilinear" => ResizeFilter::Bilinear,
                        "bicubic" => ResizeFilter::Bicubic,
                        "lanczos" => ResizeFilter::Lanczos,
                        _ => return Err(wrong(format!("resize is nearest, bilinear, bicubic or lanczos, not '{value}'"))),
                    });
                }
                "crop" if value == "center" => out.crop = true,
                "crop" => return Err(wrong(format!("crop is center, not '{value}'"))),
                _ => return Err(wrong(format!("there is no key '{key}'"))),
            }
        }
        let lists = [out.scale.len(), out.mean.len(), out.std.len()];
        let most = out.channels();
        if lists.iter().any(|&n| n > 1 && n != most) {
            return Err(wrong("the lists have different lengths".into()));
        }
        if out.crop && out.resize.is_none() {
            return Err(wrong("crop=center needs resize=... to bring pictures to the input's size".into()));
        }
        Ok(out)
    }
}

fn number(text: &str) -> Option<f32> {
    text.trim().parse().ok().filter(|v: &f32| v.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form() {
        let p: Preprocess = "image:scale=1/255,mean=0.5:0.25:0.125,std=2".parse().unwrap();
        assert_eq!(p.input.as_deref(), Some("image"));
        assert_eq!(p.scale, [(1.0, 255.0)]);
        assert_eq!(p.apply(51.0, 1), (51.0f32 / 255.0 - 0.25) / 2.0);
        let p: Preprocess = "serving_default_x:0:resize=nearest,crop=center".parse().unwrap();
        assert_eq!(p.input.as_deref(), Some("serving_default_x:0"));
        assert!(p.crop && !p.changes_values());
        for wrong in
            ["", "scale", "scale=x", "scale=1/0", "std=0", "mean=nan", "sale=2", "scale=1,scale=2", "crop=center", "mean=1:2,std=1:2:3"]
        {
            assert_eq!(wrong.parse::<Preprocess>().unwrap_err().code, "DAT030", "{wrong}");
        }
    }
}
