//! Bodies of primitives for processors that have instructions for them. Each computes, bit for bit, what the loop language says.
//!
//! `OCTET_DSP` is Armv7E-M's and Armv8-M's DSP extension (SMLAD), `OCTET_MVE` Helium's integer part; the compiler's own macros define them.

use octet_loops::lang::Function;

/// What comes before the first function, and what the helpers of vector forms need.
pub(crate) fn prologue(portable: bool) -> String {
    if portable {
        return UNUSED.to_owned();
    }
    format!("{UNUSED}\n{}", PROLOGUE.replace("@FINISH@", &[MVE_FINISH, MVE_DOT].join("\n")))
}

const UNUSED: &str = "#if defined(__GNUC__)
#define OCTET_UNUSED __attribute__((unused))
#else
#define OCTET_UNUSED
#endif

/* With OCTET_APART no kernel becomes part of another function, so that each has a size of its own. */
#if defined(OCTET_APART) && defined(__clang__)
#define OCTET_KERNEL __attribute__((noinline))
#elif defined(OCTET_APART) && defined(__GNUC__)
#define OCTET_KERNEL __attribute__((noinline, noclone))
#else
#define OCTET_KERNEL OCTET_UNUSED
#endif
";

const PROLOGUE: &str = r#"#if !defined(OCTET_PORTABLE) && defined(__ARM_FEATURE_MVE) && ((__ARM_FEATURE_MVE & 1) == 1)
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
        a = __smlabb(w[i], x[i], a);
        b = __smlabb(w[i], x[i + xs], b);
        c = __smlabb(w[i + ws], x[i], c);
        d = __smlabb(w[i + ws], x[i + xs], d);
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
        a = __smlabb(w[i], x[i], a);
        b = __smlabb(w[i + ws], x[i], b);
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

/// Four results at a time; `p` says which of them there are. `round_4_u8` takes shifts to the right alone, on sums below 2^30: see `finish_layer`.
const MVE_FINISH: &str = "static inline int32x4_t clamp_4(int32x4_t rounded, int32_t zero, int32_t low, int32_t high) {
    return vmaxq_s32(vminq_s32(vaddq_n_s32(rounded, zero), vdupq_n_s32(high)), vdupq_n_s32(low));
}

static inline void store_4(int32x4_t rounded, int8_t *y, int32_t zero, int32_t low, int32_t high, mve_pred16_t p) {
    vstrbq_p_s32(y, clamp_4(rounded, zero, low, high), p);
}

static inline int32x4_t round_4_u8(int32x4_t sums, int32x4_t mantissa, int32x4_t shift) {
    const int32x4_t product = vqrdmulhq_s32(sums, mantissa);
    return vrshlq_s32(vaddq_s32(product, vshrq_n_s32(product, 31)), vnegq_s32(shift));
}

static inline int32x4_t shifts_u8(const uint8_t *shift) {
    return vreinterpretq_s32_u32(vldrbq_u32(shift));
}

static inline int32x4_t shift_4_u8(const uint8_t *shift, mve_pred16_t p) {
    return vreinterpretq_s32_u32(vldrbq_z_u32(shift, p));
}

static inline int32x4_t round_4_i8(int32x4_t sums, int32x4_t mantissa, int32x4_t shift) {
    const int32x4_t left = vmaxq_s32(shift, vdupq_n_s32(0));
    const int32x4_t right = vminq_s32(shift, vdupq_n_s32(0));
    const int32x4_t product = vqrdmulhq_s32(vshlq_s32(sums, left), mantissa);
    const int32x4_t fix = vshrq_n_s32(vandq_s32(product, right), 31);
    return vrshlq_s32(vqaddq_s32(product, fix), right);
}

static inline int32x4_t shifts_i8(const int8_t *shift) {
    return vldrbq_s32(shift);
}

static inline int32x4_t shift_4_i8(const int8_t *shift, mve_pred16_t p) {
    return vldrbq_z_s32(shift, p);
}
";

/// Sums of products of bytes. Each has as few accumulators and pointers as registers hold; what is left of a run is read under a predicate.
const MVE_DOT: &str =
    "static inline void dot_2x2_mve(const int8_t *x, int32_t xs, const int8_t *w, int32_t ws, int32_t n, int32_t *first, int32_t *second) {
    const int8_t *x1 = &x[xs];
    const int8_t *w1 = &w[ws];
    int32_t a = 0;
    int32_t b = 0;
    int32_t c = 0;
    int32_t d = 0;
    for (int32_t left = n >> 4; left > 0; left--) {
        const int8x16_t u0 = vldrbq_s8(x);
        const int8x16_t v0 = vldrbq_s8(w);
        a = vmladavaq_s8(a, u0, v0);
        const int8x16_t u1 = vldrbq_s8(x1);
        b = vmladavaq_s8(b, u1, v0);
        const int8x16_t v1 = vldrbq_s8(w1);
        c = vmladavaq_s8(c, u0, v1);
        d = vmladavaq_s8(d, u1, v1);
        x += 16;
        w += 16;
        x1 += 16;
        w1 += 16;
    }
    if ((n & 15) != 0) {
        const mve_pred16_t p = vctp8q((uint32_t)(n & 15));
        const int8x16_t u0 = vldrbq_z_s8(x, p);
        const int8x16_t v0 = vldrbq_z_s8(w, p);
        const int8x16_t u1 = vldrbq_z_s8(x1, p);
        const int8x16_t v1 = vldrbq_z_s8(w1, p);
        a = vmladavaq_s8(a, u0, v0);
        b = vmladavaq_s8(b, u1, v0);
        c = vmladavaq_s8(c, u0, v1);
        d = vmladavaq_s8(d, u1, v1);
    }
    first[0] = a;
    second[0] = b;
    first[1] = c;
    second[1] = d;
}

static inline void dot_1x2_mve(const int8_t *x, const int8_t *w, int32_t ws, int32_t n, int32_t *sums) {
    const int8_t *w1 = &w[ws];
    int32_t a = 0;
    int32_t b = 0;
    for (int32_t left = n >> 4; left > 0; left--) {
        const int8x16_t u = vldrbq_s8(x);
        a = vmladavaq_s8(a, u, vldrbq_s8(w));
        b = vmladavaq_s8(b, u, vldrbq_s8(w1));
        x += 16;
        w += 16;
        w1 += 16;
    }
    if ((n & 15) != 0) {
        const mve_pred16_t p = vctp8q((uint32_t)(n & 15));
        const int8x16_t u = vldrbq_z_s8(x, p);
        a = vmladavaq_s8(a, u, vldrbq_z_s8(w, p));
        b = vmladavaq_s8(b, u, vldrbq_z_s8(w1, p));
    }
    sums[0] = a;
    sums[1] = b;
}

/* x * mantissa * 2^(shift - 31), four at a time: see requantize. */
static inline int32x4_t requantize_4(int32x4_t x, int32_t mantissa, int32_t shift) {
    const int32x4_t product = vqrdmulhq_n_s32(vshlq_r_s32(x, (shift > 0) ? shift : 0), mantissa);
    if (shift >= 0) {
        return product;
    }
    return vrshlq_n_s32(vqaddq_s32(product, vshrq_n_s32(product, 31)), shift);
}
";

const COLUMNS_MVE: &str = "
    int32_t first[4];
    int32_t second[4];
    for (; co >= 4; co -= 4) {
        dot_2x2_mve(x, k, w, k, k, first, second);
        w += 2 * k;
        dot_2x2_mve(x, k, w, k, k, &first[2], &second[2]);
        w += 2 * k;
        const int32x4_t start = vldrwq_s32(bias);
        const int32x4_t factors = vldrwq_s32(mantissa);
        const int32x4_t shifts = shifts_@S@(shift);
        vstrbq_s32(y, clamp_4(round_4_@S@(vaddq_s32(vldrwq_s32(first), start), factors, shifts), zero, low, high));
        vstrbq_s32(&y[distance], clamp_4(round_4_@S@(vaddq_s32(vldrwq_s32(second), start), factors, shifts), zero, low, high));
        bias += 4;
        mantissa += 4;
        shift += 4;
        y += 4;
    }
    if (co > 0) {
        /* The last filter stands for those that are not there. */
        const mve_pred16_t some = vctp32q((uint32_t)co);
        const int32_t last = co - 1;
        const int32_t third = min_i32(last, 2);
        dot_2x2_mve(x, k, w, min_i32(last, 1) * k, k, first, second);
        dot_2x2_mve(x, k, &w[third * k], (last - third) * k, k, &first[2], &second[2]);
        const int32x4_t start = vldrwq_z_s32(bias, some);
        const int32x4_t factors = vldrwq_z_s32(mantissa, some);
        const int32x4_t shifts = shift_4_@S@(shift, some);
        store_4(round_4_@S@(vaddq_s32(vldrwq_s32(first), start), factors, shifts), y, zero, low, high, some);
        store_4(round_4_@S@(vaddq_s32(vldrwq_s32(second), start), factors, shifts), &y[distance], zero, low, high, some);
    }
";

const COLUMN_MVE: &str = "
    int32_t sums[4];
    while (co > 0) {
        const mve_pred16_t four = vctp32q((uint32_t)co);
        const int32_t last = min_i32(co, 4) - 1;
        const int32_t third = min_i32(last, 2);
        dot_1x2_mve(x, w, min_i32(last, 1) * k, k, sums);
        dot_1x2_mve(x, &w[third * k], (last - third) * k, k, &sums[2]);
        const int32x4_t total = vaddq_s32(vldrwq_s32(sums), vldrwq_z_s32(bias, four));
        store_4(round_4_@S@(total, vldrwq_z_s32(mantissa, four), shift_4_@S@(shift, four)), y, zero, low, high, four);
        w += 4 * k;
        bias += 4;
        mantissa += 4;
        shift += 4;
        y += 4;
        co -= 4;
    }
";

const DEPTHWISE_PIXEL_MVE: &str = "
    if (multiplier == 1) {
        const int32x4_t minus = vdupq_n_s32(-zero);
        int32_t c = 0;
        for (; c + 4 <= co; c += 4) {
            int32x4_t sums = vldrwq_s32(&bias[c]);
            const int8_t *u = &x[c];
            const int8_t *v = &w[c];
            for (int32_t rows = kh; rows > 0; rows--) {
                const int8_t *u1 = u;
                const int8_t *v1 = v;
                for (int32_t taps = kw; taps > 0; taps--) {
                    sums = vaddq_s32(sums, vmulq_s32(vaddq_s32(vldrbq_s32(u1), minus), vldrbq_s32(v1)));
                    u1 += tap;
                    v1 += co;
                }
                u += row;
                v += filter_row;
            }
            vstrbq_s32(&y[c], clamp_4(round_4_@S@(sums, vldrwq_s32(&mantissa[c]), shifts_@S@(&shift[c])), output, low, high));
        }
        if (c < co) {
            const mve_pred16_t some = vctp32q((uint32_t)(co - c));
            int32x4_t sums = vldrwq_z_s32(&bias[c], some);
            for (int32_t ky = 0; ky < kh; ky++) {
                for (int32_t kx = 0; kx < kw; kx++) {
                    const int32x4_t centred = vaddq_s32(vldrbq_z_s32(&x[c + ky * row + kx * tap], some), minus);
                    sums = vaddq_s32(sums, vmulq_s32(centred, vldrbq_z_s32(&w[c + ky * filter_row + kx * co], some)));
                }
            }
            store_4(round_4_@S@(sums, vldrwq_z_s32(&mantissa[c], some), shift_4_@S@(&shift[c], some)), &y[c], output, low, high, some);
        }
    } else {
        const mve_pred16_t one = vctp32q(1);
        for (int32_t c = 0; c < co; c++) {
            const int32_t sum = bias[c] + depthwise_1(&x[c / multiplier], &w[c], zero, kh, kw, row, tap, filter_row, co);
            store_4(round_4_@S@(vdupq_n_s32(sum), vdupq_n_s32(mantissa[c]), shift_4_@S@(&shift[c], one)), &y[c], output, low, high, one);
        }
    }
";

const ADD_RUN_MVE: &str = "
    if ((us == 1) && (vs == 1)) {
        for (int32_t i = 0; i < n; i += 4) {
            const mve_pred16_t p = vctp32q((uint32_t)(n - i));
            const int32x4_t a = vshlq_r_s32(vsubq_n_s32(vldrbq_z_s32(&u[i], p), q[0]), q[5]);
            const int32x4_t b = vshlq_r_s32(vsubq_n_s32(vldrbq_z_s32(&v[i], p), q[1]), q[5]);
            const int32x4_t left = requantize_4(a, q[6], q[7]);
            const int32x4_t right = requantize_4(b, q[8], q[9]);
            const int32x4_t sum = (q[12] != 0) ? vsubq_s32(left, right) : vaddq_s32(left, right);
            store_4(requantize_4(sum, q[10], q[11]), &out[i], q[2], q[3], q[4], p);
        }
        return;
    }
    for (int32_t i = 0; i < n; i++) {
        const int32_t left = requantize((int32_t)((uint32_t)(u[i * us] - q[0]) << q[5]), q[6], q[7]);
        const int32_t right = requantize((int32_t)((uint32_t)(v[i * vs] - q[1]) << q[5]), q[8], q[9]);
        out[i] = (int8_t)finish((q[12] != 0) ? (left - right) : (left + right), q[10], q[11], q[2], q[3], q[4]);
    }
";

const FILL: &str = "
    memset(y, (uint8_t)value[0], (size_t)n);
";

const COPY_MVE: &str = "
    for (int32_t whole = n >> 4; whole > 0; whole--) {
        vstrbq_s8(y, vldrbq_s8(x));
        x += 16;
        y += 16;
    }
    if ((n & 15) != 0) {
        const mve_pred16_t p = vctp8q((uint32_t)(n & 15));
        vstrbq_p_s8(y, vldrbq_z_s8(x, p), p);
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
        "add_run" if function.name.ends_with("_i8") => vec![(mve, own(ADD_RUN_MVE))],
        "depthwise_pixel" => vec![(mve, shifts(DEPTHWISE_PIXEL_MVE))],
        // An output may lie over the input that it is copied from only where nothing is copied.
        "fill_run" if function.name.ends_with("_i8") => vec![("!defined(OCTET_PORTABLE)", own(FILL))],
        "copy_run" if function.name.ends_with("_i8") => vec![(mve, own(COPY_MVE)), ("!defined(OCTET_PORTABLE)", own(COPY))],
        "copy_run" => vec![("!defined(OCTET_PORTABLE)", own(COPY))],
        _ => Vec::new(),
    }
}
