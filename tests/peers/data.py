"""Calibration and test data as the peers take it: float32, scaled, one sample at a time."""

import numpy as np


def load(path, scale=None):
    """x (float32, samples first) and y or None, of an .npy, or of an .npz with x and perhaps y.

    With `scale`, x is multiplied by it in float32: what `octet --preprocess scale=...` does.
    """
    data = np.load(path)
    if isinstance(data, np.ndarray):
        x, y = data, None
    else:
        x = data["x"]
        y = data["y"] if "y" in data.files else None
    x = x.astype(np.float32)
    return (x if scale is None else x * np.float32(scale)), y


def quantize(x, detail):
    """x as the integers that a quantized input takes: round(x / scale), halves away from zero, plus zero point.

    This is the QUANTIZE kernel's rule (`AffineQuantize`), in float32 as there. A float input takes x as it is.
    """
    dtype = np.dtype(detail["dtype"])
    if dtype == np.float32:
        return x
    scale, zero_point = detail["quantization"]
    real = x / np.float32(scale)
    rounded = np.trunc(real + np.copysign(np.float32(0.5), real))
    limits = np.iinfo(dtype)
    return np.clip(rounded + zero_point, limits.min, limits.max).astype(dtype)


def dequantize(q, detail):
    """(q - zero point) * scale of a quantized output, float64; a float output as it is."""
    if np.dtype(detail["dtype"]) == np.float32:
        return q.astype(np.float64)
    scale, zero_point = detail["quantization"]
    return (q.astype(np.float64) - zero_point) * float(scale)
