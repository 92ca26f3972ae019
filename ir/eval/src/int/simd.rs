//! The inner loops that decide the speed of integer networks, in vector instructions where the processor has them.
//!
//! All variants add the same products in 32-bit wrapping arithmetic, so their results are equal bit by bit.

/// Output channels per block of packed weights.
pub(super) const LANES: usize = 16;
/// Rows that one tile computes at once.
pub(super) const ROWS: usize = 8;

/// Sums of one tile: rows by channels.
pub(super) type Tile = [[i32; LANES]; ROWS];

/// `out[r][c] = sum over k of a[r * stride + k] * b[c][k]` for `rows <= ROWS` rows.
///
/// `b` is a block of packed weights: for each pair of k, [`LANES`] channels by 2 values. Rows are read up to `2 * pairs`.
pub(super) fn tile(a: &[i16], stride: usize, rows: usize, pairs: usize, b: &[i16], out: &mut Tile) {
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => rows_of!(rows, R => {
            // SAFETY: `level` saw the features that the function is compiled for.
            unsafe { x86::tile_avx512::<R>(a, stride, pairs, b, out) }
        }),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => {
            for first in (0..rows).step_by(4) {
                let a = &a[first * stride..];
                let out = &mut out[first..];
                // SAFETY: `level` saw the features that the function is compiled for.
                unsafe {
                    match rows - first {
                        1 => x86::tile_avx2::<1>(a, stride, pairs, b, out),
                        2 => x86::tile_avx2::<2>(a, stride, pairs, b, out),
                        3 => x86::tile_avx2::<3>(a, stride, pairs, b, out),
                        _ => x86::tile_avx2::<4>(a, stride, pairs, b, out),
                    }
                }
            }
        }
        Level::Portable => tile_portable(a, stride, rows, pairs, b, out),
    }
}

macro_rules! rows_of {
    ($rows:expr, $r:ident => $body:block) => {
        match $rows {
            0 => {}
            1 => {
                const $r: usize = 1;
                $body
            }
            2 => {
                const $r: usize = 2;
                $body
            }
            3 => {
                const $r: usize = 3;
                $body
            }
            4 => {
                const $r: usize = 4;
                $body
            }
            5 => {
                const $r: usize = 5;
                $body
            }
            6 => {
                const $r: usize = 6;
                $body
            }
            7 => {
                const $r: usize = 7;
                $body
            }
            _ => {
                const $r: usize = 8;
                $body
            }
        }
    };
}
use rows_of;

/// Instruction sets with their own variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

/// The best level that this processor has.
#[inline]
pub(super) fn level() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
        {
            return Level::Avx512;
        }
        if is_x86_feature_detected!("avx2") {
            return Level::Avx2;
        }
    }
    Level::Portable
}

/// Compiles `f` once per instruction set and calls the best: `f` must be `#[inline(always)]` to be compiled anew.
#[inline]
pub(super) fn dispatch<R>(f: impl FnOnce() -> R) -> R {
    match level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `level` saw the features that the function is compiled for.
        Level::Avx512 => unsafe { x86::with_avx512(f) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 => unsafe { x86::with_avx2(f) },
        Level::Portable => f(),
    }
}

fn tile_portable(a: &[i16], stride: usize, rows: usize, pairs: usize, b: &[i16], out: &mut Tile) {
    for (r, sums) in out.iter_mut().enumerate().take(rows) {
        *sums = [0; LANES];
        let row = &a[r * stride..r * stride + 2 * pairs];
        for (x, w) in row.chunks_exact(2).zip(b.chunks_exact(2 * LANES)) {
            let (x0, x1) = (i32::from(x[0]), i32::from(x[1]));
            for (sum, w) in sums.iter_mut().zip(w.chunks_exact(2)) {
                *sum = sum.wrapping_add(x0 * i32::from(w[0])).wrapping_add(x1 * i32::from(w[1]));
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::LANES;
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    pub(super) fn with_avx512<R>(f: impl FnOnce() -> R) -> R {
        f()
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn with_avx2<R>(f: impl FnOnce() -> R) -> R {
        f()
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    pub(super) fn tile_avx512<const R: usize>(a: &[i16], stride: usize, pairs: usize, b: &[i16], out: &mut [[i32; LANES]]) {
        assert!(a.len() >= (R - 1) * stride + 2 * pairs && b.len() >= 2 * LANES * pairs && out.len() >= R);
        let mut sums = [_mm512_setzero_si512(); R];
        for p in 0..pairs {
            // SAFETY: p < pairs, so 32 weights start at 32 * p within `b`, as asserted.
            let w = unsafe { _mm512_loadu_si512(b.as_ptr().add(2 * LANES * p).cast()) };
            for (r, sum) in sums.iter_mut().enumerate() {
                // SAFETY: r < R and p < pairs, so two values start at r * stride + 2 * p within `a`, as asserted.
                let x = unsafe { a.as_ptr().add(r * stride + 2 * p).cast::<i32>().read_unaligned() };
                *sum = _mm512_dpwssd_epi32(*sum, _mm512_set1_epi32(x), w);
            }
        }
        for (sum, out) in sums.iter().zip(out) {
            // SAFETY: `out` holds LANES = 16 values of 32 bits, the size of one vector.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), *sum) };
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn tile_avx2<const R: usize>(a: &[i16], stride: usize, pairs: usize, b: &[i16], out: &mut [[i32; LANES]]) {
        assert!(a.len() >= (R - 1) * stride + 2 * pairs && b.len() >= 2 * LANES * pairs && out.len() >= R);
        let mut low = [_mm256_setzero_si256(); R];
        let mut high = [_mm256_setzero_si256(); R];
        for p in 0..pairs {
            // SAFETY: p < pairs, so 32 weights start at 32 * p within `b`, as asserted; each load takes 16 of them.
            let (w0, w1) = unsafe {
                let at = b.as_ptr().add(2 * LANES * p);
                (_mm256_loadu_si256(at.cast()), _mm256_loadu_si256(at.add(LANES).cast()))
            };
            for r in 0..R {
                // SAFETY: r < R and p < pairs, so two values start at r * stride + 2 * p within `a`, as asserted.
                let x = unsafe { a.as_ptr().add(r * stride + 2 * p).cast::<i32>().read_unaligned() };
                let x = _mm256_set1_epi32(x);
                low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(x, w0));
                high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(x, w1));
            }
        }
        for (r, out) in out.iter_mut().enumerate().take(R) {
            // SAFETY: `out` holds 16 values of 32 bits, the size of two vectors.
            unsafe {
                _mm256_storeu_si256(out.as_mut_ptr().cast(), low[r]);
                _mm256_storeu_si256(out.as_mut_ptr().add(8).cast(), high[r]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_levels_agree() {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as i16
        };
        let pairs = 37;
        let stride = 2 * pairs + 3;
        let a: Vec<i16> = (0..stride * ROWS).map(|_| next()).collect();
        let b: Vec<i16> = (0..pairs * 2 * LANES).map(|_| next() >> 6).collect();
        for rows in 1..=ROWS {
            let (mut want, mut got) = ([[0; LANES]; ROWS], [[0; LANES]; ROWS]);
            tile_portable(&a, stride, rows, pairs, &b, &mut want);
            tile(&a, stride, rows, pairs, &b, &mut got);
            assert_eq!(want, got, "{rows} rows on {:?}", level());
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") && rows <= 4 {
                let mut got = [[0; LANES]; ROWS];
                // SAFETY: the feature is there.
                unsafe {
                    match rows {
                        1 => x86::tile_avx2::<1>(&a, stride, pairs, &b, &mut got),
                        2 => x86::tile_avx2::<2>(&a, stride, pairs, &b, &mut got),
                        3 => x86::tile_avx2::<3>(&a, stride, pairs, &b, &mut got),
                        _ => x86::tile_avx2::<4>(&a, stride, pairs, &b, &mut got),
                    }
                }
                assert_eq!(want, got, "{rows} rows with AVX2");
            }
        }
    }
}
