//! PNG and JPEG files as samples of `[H, W, C]`.
//!
//! A picture is brought to the channels of the input: 1 is luma (ITU-R BT.709, as the image crate weighs it), 3 RGB, 4 RGBA; an alpha channel that
//! the input does not take is left out. Values are 0 to 255; 16-bit pictures keep their finer steps as fractions. Rotation notes (EXIF) are not applied.

use std::io::{BufRead, Cursor, Seek};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use image::imageops::FilterType;
use image::{DynamicImage, ImageReader, Limits};
use octet_ir::{Diagnostic, ElementType};

use crate::array::Array;
use crate::map::map_file;
use crate::preprocess::{Preprocess, ResizeFilter};

/// Bytes that decoding one picture may allocate.
const MOST_DECODED: u64 = 512 << 20;

/// One picture file, looked at when it is needed.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) path: PathBuf,
    height: usize,
    width: usize,
    channels: usize,
    resize: Option<(ResizeFilter, bool)>,
}

/// Whether a file name is a picture's.
pub(crate) fn is_picture(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| ["png", "jpg", "jpeg"].contains(&e.to_ascii_lowercase().as_str()))
}

/// Height, width and channels that an input asks of pictures; `None` when it takes no pictures.
pub(crate) fn picture_shape(shape: &[Option<usize>]) -> Option<(Option<usize>, Option<usize>, usize)> {
    match shape {
        [_, h, w, Some(c @ (1 | 3 | 4))] => Some((*h, *w, *c)),
        [_, h, w] => Some((*h, *w, 1)),
        _ => None,
    }
}

impl Picture {
    /// Looks at the file's header only. A size of `None` is whatever the picture has.
    pub(crate) fn open(
        path: PathBuf,
        (height, width, channels): (Option<usize>, Option<usize>, usize),
        preprocess: Option<&Preprocess>,
    ) -> Result<Self, Diagnostic> {
        let bytes = map_file(&path)?;
        let (w, h) = reader(&path, &bytes)?.into_dimensions().map_err(|e| undecodable(&path, &e))?;
        let (h, w) = (usize::try_from(h).unwrap_or(usize::MAX), usize::try_from(w).unwrap_or(usize::MAX));
        let (want_h, want_w) = (height.unwrap_or(h), width.unwrap_or(w));
        let resize = preprocess.and_then(|p| Some((p.resize?, p.crop)));
        if resize.is_none() && (h, w) != (want_h, want_w) {
            let message = format!("the picture is {w} wide and {h} high, the input takes {want_w} by {want_h}");
            return Err(Diagnostic::error("DAT021", message).in_file(path.display().to_string()).with_help(
                "--preprocess resize=bilinear resamples pictures to the input's size; with crop=center they keep their aspect ratio",
            ));
        }
        Ok(Self { path, height: want_h, width: want_w, channels, resize })
    }

    /// Shape of the sample.
    pub(crate) fn shape(&self) -> Vec<usize> {
        vec![self.height, self.width, self.channels]
    }

    /// Decodes the picture.
    pub(crate) fn read(&self) -> Result<Array, Diagnostic> {
        let bytes = map_file(&self.path)?;
        let mut decoded = reader(&self.path, &bytes)?.decode().map_err(|e| undecodable(&self.path, &e))?;
        let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (width, height) = (size(self.width), size(self.height));
        if (decoded.width(), decoded.height()) != (width, height) {
            let Some((filter, crop)) = self.resize else {
                return Err(Diagnostic::error("DAT021", "the picture has another size than when it was opened")
                    .in_file(self.path.display().to_string()));
            };
            let filter = match filter {
                ResizeFilter::Nearest => FilterType::Nearest,
                ResizeFilter::Bilinear => FilterType::Triangle,
                ResizeFilter::Bicubic => FilterType::CatmullRom,
                ResizeFilter::Lanczos => FilterType::Lanczos3,
            };
            decoded = if crop { decoded.resize_to_fill(width, height, filter) } else { decoded.resize_exact(width, height, filter) };
        }
        Ok(self.pixels(&decoded))
    }

    fn pixels(&self, decoded: &DynamicImage) -> Array {
        let sixteen = decoded.color().bytes_per_pixel() / decoded.color().channel_count().max(1) > 1;
        let shape = self.shape();
        if sixteen {
            let values: Vec<u16> = match self.channels {
                1 => decoded.to_luma16().into_raw(),
                3 => decoded.to_rgb16().into_raw(),
                _ => decoded.to_rgba16().into_raw(),
            };
            // 65535 is 255 of 257 steps each.
            let bytes: Vec<u8> = values.iter().flat_map(|v| (f32::from(*v) / 257.0).to_le_bytes()).collect();
            return Array::plain(ElementType::F32, shape, bytes.into());
        }
        let bytes = match self.channels {
            1 => decoded.to_luma8().into_raw(),
            3 => decoded.to_rgb8().into_raw(),
            _ => decoded.to_rgba8().into_raw(),
        };
        Array::plain(ElementType::U8, shape, bytes.into())
    }
}

fn reader(path: &Path, bytes: &Bytes) -> Result<ImageReader<impl BufRead + Seek>, Diagnostic> {
    let mut reader = ImageReader::new(Cursor::new(bytes.clone())).with_guessed_format().map_err(|e| undecodable(path, &e.into()))?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_DECODED);
    reader.limits(limits);
    Ok(reader)
}

fn undecodable(path: &Path, error: &image::ImageError) -> Diagnostic {
    Diagnostic::error("DAT020", format!("the picture cannot be decoded: {error}"))
        .in_file(path.display().to_string())
        .with_help("pictures are PNG or JPEG files")
}
