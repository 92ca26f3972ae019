//! Bodies of primitives for processors that have instructions for them. Each computes, bit for bit, what the loop language says.
//!
//! `OCTET_DSP` is Armv7E-M's and Armv8-M's DSP extension (SMLAD), `OCTET_MVE` Helium's integer part; the compiler's own macros define them.

use octet_loops::lang::Function;

/// What comes before the first function.
pub(crate) const PROLOGUE: &str = "#if !defined(OCTET_PORTABLE) && defined(__ARM_FEATURE_MVE) && ((__ARM_FEATURE_MVE & 1) == 1)
#define OCTET_MVE 1
#include <arm_mve.h>
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
    return __sxtb16((int8x4_t)((word >> 8) | (word << 24)));
}
#endif
";

const DOT_2X2_DSP: &str = "
    int32_t a = sums[0];
    int32_t b = sums[1];
    int32_t c = sums[2];
    int32_t d = sums[3];
    for (; n >= 4; n -= 4) {
        const uint32_t u0 = load_4(x0);
        const uint32_t u1 = load_4(x1);
        const uint32_t v0 = load_4(w0);
        const uint32_t v1 = load_4(w1);
        const int16x2_t e0 = even(u0);
        const int16x2_t e1 = even(u1);
        const int16x2_t f0 = even(v0);
        const int16x2_t f1 = even(v1);
        a = __smlad(f0, e0, a);
        b = __smlad(f0, e1, b);
        c = __smlad(f1, e0, c);
        d = __smlad(f1, e1, d);
        const int16x2_t o0 = odd(u0);
        const int16x2_t o1 = odd(u1);
        const int16x2_t p0 = odd(v0);
        const int16x2_t p1 = odd(v1);
        a = __smlad(p0, o0, a);
        b = __smlad(p0, o1, b);
        c = __smlad(p1, o0, c);
        d = __smlad(p1, o1, d);
        x0 += 4;
        x1 += 4;
        w0 += 4;
        w1 += 4;
    }
    for (; n > 0; n--) {
        a += *w0 * *x0;
        b += *w0 * *x1;
        c += *w1 * *x0;
        d += *w1 * *x1;
        x0++;
        x1++;
        w0++;
        w1++;
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
";

const DOT_2X2_MVE: &str = "
    int32_t a = sums[0];
    int32_t b = sums[1];
    int32_t c = sums[2];
    int32_t d = sums[3];
    for (; n > 0; n -= 16) {
        const mve_pred16_t p = vctp8q((uint32_t)n);
        const int8x16_t u0 = vldrbq_z_s8(x0, p);
        const int8x16_t u1 = vldrbq_z_s8(x1, p);
        const int8x16_t v0 = vldrbq_z_s8(w0, p);
        const int8x16_t v1 = vldrbq_z_s8(w1, p);
        a = vmladavaq_s8(a, u0, v0);
        b = vmladavaq_s8(b, u1, v0);
        c = vmladavaq_s8(c, u0, v1);
        d = vmladavaq_s8(d, u1, v1);
        x0 += 16;
        x1 += 16;
        w0 += 16;
        w1 += 16;
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
";

const DOT_1X2_DSP: &str = "
    int32_t a = sums[0];
    int32_t b = sums[1];
    for (; n >= 4; n -= 4) {
        const uint32_t u = load_4(x0);
        const uint32_t v0 = load_4(w0);
        const uint32_t v1 = load_4(w1);
        const int16x2_t e = even(u);
        const int16x2_t o = odd(u);
        a = __smlad(even(v0), e, a);
        b = __smlad(even(v1), e, b);
        a = __smlad(odd(v0), o, a);
        b = __smlad(odd(v1), o, b);
        x0 += 4;
        w0 += 4;
        w1 += 4;
    }
    for (; n > 0; n--) {
        a += *w0 * *x0;
        b += *w1 * *x0;
        x0++;
        w0++;
        w1++;
    }
    sums[0] = a;
    sums[1] = b;
";

const DOT_1X2_MVE: &str = "
    int32_t a = sums[0];
    int32_t b = sums[1];
    for (; n > 0; n -= 16) {
        const mve_pred16_t p = vctp8q((uint32_t)n);
        const int8x16_t u = vldrbq_z_s8(x0, p);
        a = vmladavaq_s8(a, u, vldrbq_z_s8(w0, p));
        b = vmladavaq_s8(b, u, vldrbq_z_s8(w1, p));
        x0 += 16;
        w0 += 16;
        w1 += 16;
    }
    sums[0] = a;
    sums[1] = b;
";

const DEPTHWISE_4_DSP: &str = "
    int32_t a = sums[0];
    int32_t b = sums[1];
    int32_t c = sums[2];
    int32_t d = sums[3];
    for (; kh > 0; kh--) {
        const int8_t *u = x;
        for (int32_t left = kw; left > 0; left--) {
            const uint32_t p = load_4(u);
            const uint32_t q = load_4(w);
            const int16x2_t e = even(p);
            const int16x2_t f = even(q);
            const int16x2_t o = odd(p);
            const int16x2_t g = odd(q);
            a = __smlabb(e, f, a);
            b = __smlabb(o, g, b);
            c = __smlatt(e, f, c);
            d = __smlatt(o, g, d);
            u += tap;
            w += filter;
        }
        x += row;
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
";

const DEPTHWISE_4_MVE: &str = "
    int32x4_t total = vldrwq_s32(sums);
    for (; kh > 0; kh--) {
        const int8_t *u = x;
        for (int32_t left = kw; left > 0; left--) {
            total = vmlaq_s32_product(total, vldrbq_s32(u), vldrbq_s32(w));
            u += tap;
            w += filter;
        }
        x += row;
    }
    vstrwq_s32(sums, total);
";

const COPY: &str = "
    memcpy(y, x, (size_t)n * sizeof(*y));
";

/// Conditions and bodies for one function; the portable body comes last, under `#else`.
pub(crate) fn bodies(function: &Function) -> Vec<(&'static str, String)> {
    let (dsp, mve) = ("defined(OCTET_DSP)", "defined(OCTET_MVE)");
    let own = |s: &str| s.to_owned();
    match function.source.as_str() {
        "dot_2x2" => vec![(dsp, own(DOT_2X2_DSP)), (mve, own(DOT_2X2_MVE))],
        "dot_1x2" => vec![(dsp, own(DOT_1X2_DSP)), (mve, own(DOT_1X2_MVE))],
        "depthwise_4" => vec![
            (dsp, own(DEPTHWISE_4_DSP)),
            (
                mve,
                DEPTHWISE_4_MVE
                    .replace("vmlaq_s32_product(total, ", "vaddq_s32(total, vmulq_s32(")
                    .replace("vldrbq_s32(w))", "vldrbq_s32(w)))"),
            ),
        ],
        // An output may lie over the input that it is copied from only where nothing is copied.
        "copy_run" => vec![("!defined(OCTET_PORTABLE)", own(COPY))],
        _ => Vec::new(),
    }
}
