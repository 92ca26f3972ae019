//! Bodies of primitives for processors that have instructions for them. Each computes, bit for bit, what the loop language says.
//!
//! `OCTET_DSP` is Armv7E-M's and Armv8-M's DSP extension (SMLAD), `OCTET_MVE` Helium's integer part; the compiler's own macros define them.

use octet_loops::lang::Function;

/// What comes before the first function, and what the helpers of vector forms need.
pub(crate) fn prologue() -> String {
    PROLOGUE.replace("@FINISH@", MVE_FINISH)
}

const PROLOGUE: &str = r#"#if defined(__GNUC__)
#define OCTET_UNUSED __attribute__((unused))
#else
#define OCTET_UNUSED
#endif

#if !defined(OCTET_PORTABLE) && defined(__ARM_FEATURE_MVE) && ((__ARM_FEATURE_MVE & 1) == 1)
#define OCTET_MVE 1
#include <arm_mve.h>

@FINISH@
#elif !defined(OCTET_PORTABLE) && defined(__ARM_FEATURE_SIMD32) && (__ARM_FEATURE_SIMD32 == 1)
#define OCTET_DSP 1
#include <arm_acle.h>

/* Four bytes from any address. */
static inline uint32_t load_4(const int8_t *p) {
    uint32_t word;
    memcpy(&word, p, 4);
    return word;
}

/* Bytes 0 and 2, and bytes 1 and 3, as two 16-bit numbers. */
static inline int16x2_t even(uint32_t word) {
    return __sxtb16((int8x4_t)word);
}

static inline int16x2_t odd(uint32_t word) {
    int16x2_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
    return pair;
}

/* The same with a pair of numbers added. */
static inline int16x2_t even_plus(int16x2_t pair, uint32_t word) {
    return __sxtab16(pair, (int8x4_t)word);
}

static inline int16x2_t odd_plus(int16x2_t pair, uint32_t word) {
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(pair) : "r"(pair), "r"(word));
    return pair;
}
#endif
"#;

const DOT_2X2_DSP: &str = "
    int32_t a = sums[0];
    int32_t b = sums[1];
    int32_t c = sums[2];
    int32_t d = sums[3];
    const int8_t *end = &x[n & ~3];
    while (x != end) {
        const uint32_t v0 = load_4(w);
        const uint32_t u0 = load_4(x);
        const uint32_t u1 = load_4(&x[xs]);
        const uint32_t v1 = load_4(&w[ws]);
        w += 4;
        x += 4;
        const int16x2_t f0 = even(v0);
        const int16x2_t e0 = even(u0);
        const int16x2_t e1 = even(u1);
        a = __smlad(f0, e0, a);
        b = __smlad(f0, e1, b);
        const int16x2_t f1 = even(v1);
        c = __smlad(f1, e0, c);
        d = __smlad(f1, e1, d);
        const int16x2_t p0 = odd(v0);
        const int16x2_t o0 = odd(u0);
        const int16x2_t o1 = odd(u1);
        a = __smlad(p0, o0, a);
        b = __smlad(p0, o1, b);
        const int16x2_t p1 = odd(v1);
        c = __smlad(p1, o0, c);
        d = __smlad(p1, o1, d);
    }
    for (int32_t i = 0; i < (n & 3); i++) {
        a += w[i] * x[i];
        b += w[i] * x[i + xs];
        c += w[i + ws] * x[i];
        d += w[i + ws] * x[i + xs];
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
";

const DOT_1X2_DSP: &str = "
    int32_t a = sums[0];
    int32_t b = sums[1];
    const int8_t *end = &x[n & ~3];
    while (x != end) {
        const uint32_t u = load_4(x);
        const uint32_t v0 = load_4(w);
        const uint32_t v1 = load_4(&w[ws]);
        x += 4;
        w += 4;
        const int16x2_t e = even(u);
        const int16x2_t o = odd(u);
        a = __smlad(even(v0), e, a);
        b = __smlad(even(v1), e, b);
        a = __smlad(odd(v0), o, a);
        b = __smlad(odd(v1), o, b);
    }
    for (int32_t i = 0; i < (n & 3); i++) {
        a += w[i] * x[i];
        b += w[i + ws] * x[i];
    }
    sums[0] = a;
    sums[1] = b;
";

const DEPTHWISE_4_DSP: &str = "
    int32_t a = sums[0];
    int32_t b = sums[1];
    int32_t c = sums[2];
    int32_t d = sums[3];
    const int16x2_t minus = (int16x2_t)(((uint32_t)(-zero) & 0xFFFFU) | ((uint32_t)(-zero) << 16));
    for (; kh > 0; kh--) {
        const int8_t *u = x;
        const int8_t *v = w;
        for (int32_t left = kw; left > 0; left--) {
            const uint32_t p = load_4(u);
            const uint32_t q = load_4(v);
            u += tap;
            v += filter;
            const int16x2_t e = even_plus(minus, p);
            const int16x2_t f = even(q);
            const int16x2_t o = odd_plus(minus, p);
            const int16x2_t g = odd(q);
            a = __smlabb(e, f, a);
            c = __smlatt(e, f, c);
            b = __smlabb(o, g, b);
            d = __smlatt(o, g, d);
        }
        x += row;
        w += filter_row;
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
";

const HIGH_PRODUCT_SMALL_DSP: &str = "
    int32_t product;
    __asm__(\"smmulr %0, %1, %2\" : \"=r\"(product) : \"r\"(a * 2), \"r\"(b));
    return product;
";

/// Four results at a time; `p` says which of them there are. `_u8` takes shifts to the right alone, on sums below 2^30: see `finish_layer`.
const MVE_FINISH: &str = "static inline void store_4(int32x4_t rounded, int8_t *y, int32_t zero, int32_t low, int32_t high, mve_pred16_t p) {
    const int32x4_t stored = vmaxq_s32(vminq_s32(vaddq_n_s32(rounded, zero), vdupq_n_s32(high)), vdupq_n_s32(low));
    vstrbq_p_s32(y, stored, p);
}

static inline void finish_4_u8(int32x4_t sums, const int32_t *mantissa, const uint8_t *shift, int8_t *y, int32_t zero, int32_t low, int32_t high,
                               mve_pred16_t p) {
    const int32x4_t right = vreinterpretq_s32_u32(vldrbq_z_u32(shift, p));
    const int32x4_t product = vqrdmulhq_s32(sums, vldrwq_z_s32(mantissa, p));
    const int32x4_t rounded = vrshlq_s32(vaddq_s32(product, vshrq_n_s32(product, 31)), vnegq_s32(right));
    store_4(rounded, y, zero, low, high, p);
}

static inline void finish_4_i8(int32x4_t sums, const int32_t *mantissa, const int8_t *shift, int8_t *y, int32_t zero, int32_t low, int32_t high,
                               mve_pred16_t p) {
    const int32x4_t both = vldrbq_z_s32(shift, p);
    const int32x4_t left = vmaxq_s32(both, vdupq_n_s32(0));
    const int32x4_t right = vminq_s32(both, vdupq_n_s32(0));
    const int32x4_t product = vqrdmulhq_s32(vshlq_s32(sums, left), vldrwq_z_s32(mantissa, p));
    const int32x4_t fix = vshrq_n_s32(vandq_s32(product, right), 31);
    store_4(vrshlq_s32(vqaddq_s32(product, fix), right), y, zero, low, high, p);
}
";

const COLUMNS_MVE: &str = "
    for (int32_t c = 0; c < co; c += 4) {
        const mve_pred16_t four = vctp32q((uint32_t)(co - c));
        const int32_t more = min_i32(co - c, 4) - 1;
        const int8_t *w0 = &w[c * k];
        const int8_t *w1 = &w0[min_i32(more, 1) * k];
        const int8_t *w2 = &w0[min_i32(more, 2) * k];
        const int8_t *w3 = &w0[min_i32(more, 3) * k];
        const int8_t *u = x;
        int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
        for (int32_t n = k; n > 0; n -= 16) {
            const mve_pred16_t p = vctp8q((uint32_t)n);
            const int8x16_t u0 = vldrbq_z_s8(u, p);
            const int8x16_t u1 = vldrbq_z_s8(&u[k], p);
            int8x16_t v = vldrbq_z_s8(w0, p);
            a0 = vmladavaq_s8(a0, u0, v);
            b0 = vmladavaq_s8(b0, u1, v);
            v = vldrbq_z_s8(w1, p);
            a1 = vmladavaq_s8(a1, u0, v);
            b1 = vmladavaq_s8(b1, u1, v);
            v = vldrbq_z_s8(w2, p);
            a2 = vmladavaq_s8(a2, u0, v);
            b2 = vmladavaq_s8(b2, u1, v);
            v = vldrbq_z_s8(w3, p);
            a3 = vmladavaq_s8(a3, u0, v);
            b3 = vmladavaq_s8(b3, u1, v);
            u += 16;
            w0 += 16;
            w1 += 16;
            w2 += 16;
            w3 += 16;
        }
        const int32x4_t first = vldrwq_z_s32(&bias[c], four);
        const int32x4_t a = {a0, a1, a2, a3};
        const int32x4_t b = {b0, b1, b2, b3};
        finish_4_@S@(vaddq_s32(a, first), &mantissa[c], &shift[c], &y[c], zero, low, high, four);
        finish_4_@S@(vaddq_s32(b, first), &mantissa[c], &shift[c], &y[c + distance], zero, low, high, four);
    }
";

const COLUMN_MVE: &str = "
    for (int32_t c = 0; c < co; c += 4) {
        const mve_pred16_t four = vctp32q((uint32_t)(co - c));
        const int32_t more = min_i32(co - c, 4) - 1;
        const int8_t *w0 = &w[c * k];
        const int8_t *w1 = &w0[min_i32(more, 1) * k];
        const int8_t *w2 = &w0[min_i32(more, 2) * k];
        const int8_t *w3 = &w0[min_i32(more, 3) * k];
        const int8_t *u = x;
        int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
        for (int32_t n = k; n > 0; n -= 16) {
            const mve_pred16_t p = vctp8q((uint32_t)n);
            const int8x16_t u0 = vldrbq_z_s8(u, p);
            a0 = vmladavaq_s8(a0, u0, vldrbq_z_s8(w0, p));
            a1 = vmladavaq_s8(a1, u0, vldrbq_z_s8(w1, p));
            a2 = vmladavaq_s8(a2, u0, vldrbq_z_s8(w2, p));
            a3 = vmladavaq_s8(a3, u0, vldrbq_z_s8(w3, p));
            u += 16;
            w0 += 16;
            w1 += 16;
            w2 += 16;
            w3 += 16;
        }
        const int32x4_t a = {a0, a1, a2, a3};
        finish_4_@S@(vaddq_s32(a, vldrwq_z_s32(&bias[c], four)), &mantissa[c], &shift[c], &y[c], zero, low, high, four);
    }
";

const DEPTHWISE_PIXEL_MVE: &str = "
    if (multiplier == 1) {
        for (int32_t c = 0; c < co; c += 4) {
            const mve_pred16_t four = vctp32q((uint32_t)(co - c));
            int32x4_t sums = vldrwq_z_s32(&bias[c], four);
            const int8_t *u = &x[c];
            const int8_t *v = &w[c];
            for (int32_t rows = kh; rows > 0; rows--) {
                const int8_t *u1 = u;
                const int8_t *v1 = v;
                for (int32_t taps = kw; taps > 0; taps--) {
                    const int32x4_t centred = vaddq_n_s32(vldrbq_z_s32(u1, four), -zero);
                    sums = vaddq_s32(sums, vmulq_s32(centred, vldrbq_z_s32(v1, four)));
                    u1 += tap;
                    v1 += co;
                }
                u += row;
                v += filter_row;
            }
            finish_4_@S@(sums, &mantissa[c], &shift[c], &y[c], output, low, high, four);
        }
    } else {
        for (int32_t c = 0; c < co; c++) {
            const int32_t sum = bias[c] + depthwise_1(&x[c / multiplier], &w[c], zero, kh, kw, row, tap, filter_row, co);
            finish_4_@S@(vdupq_n_s32(sum), &mantissa[c], &shift[c], &y[c], output, low, high, vctp32q(1));
        }
    }
";

const COPY: &str = "
    memcpy(y, x, (size_t)n * sizeof(*y));
";

/// Conditions and bodies for one function; the portable body comes last, under `#else`.
pub(crate) fn bodies(function: &Function) -> Vec<(&'static str, String)> {
    let (dsp, mve) = ("defined(OCTET_DSP)", "defined(OCTET_MVE)");
    let own = |s: &str| s.to_owned();
    let shifts = |s: &str| s.replace("@S@", if function.name.ends_with("_u8") { "u8" } else { "i8" });
    match function.source.as_str() {
        "dot_2x2" => vec![(dsp, own(DOT_2X2_DSP))],
        "dot_1x2" => vec![(dsp, own(DOT_1X2_DSP))],
        "depthwise_4" => vec![(dsp, own(DEPTHWISE_4_DSP))],
        "high_product_small" => vec![(dsp, own(HIGH_PRODUCT_SMALL_DSP))],
        "columns" => vec![(mve, shifts(COLUMNS_MVE))],
        "column" => vec![(mve, shifts(COLUMN_MVE))],
        "depthwise_pixel" => vec![(mve, shifts(DEPTHWISE_PIXEL_MVE))],
        // An output may lie over the input that it is copied from only where nothing is copied.
        "copy_run" => vec![("!defined(OCTET_PORTABLE)", own(COPY))],
        _ => Vec::new(),
    }
}
