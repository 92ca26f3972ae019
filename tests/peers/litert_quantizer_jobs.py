"""litert-quantizer, on the same float .tflite and the same calibration data as Octet."""

import contextlib
import io
import time

import numpy as np

import data
import runtimes


def signature_samples(model, x):
    """The first signature's name, and x as the samples that litert-quantizer wants."""
    interpreter = runtimes.litert_interpreter(model, {"resolver": "builtin"})
    signatures = interpreter.get_signature_list()
    if not signatures:
        raise ValueError("litert-quantizer takes only models that have a signature")
    key, signature = next(iter(signatures.items()))
    name, = signature["inputs"]
    return key, [{name: x[i : i + 1]} for i in range(len(x))]


def lq_quantizer(job):
    from litert_quantizer import calibrator, quantizer, recipe

    model = runtimes.read(job["model"])
    x, _ = data.load(job["data"], job.get("scale"))
    key, samples = signature_samples(model, np.tile(x, (job.get("repeat", 1),) + (1,) * (x.ndim - 1)))
    chosen = quantizer.Quantizer(bytearray(model))
    chosen.load_quantization_recipe(recipe.static_wi8_ai8())
    modes = calibrator.CalibrationMode
    options = {}
    if job.get("best"):  # the fastest way that it has: statistics inside LiteRT, on one thread
        options = {"mode": modes.CALIBRATION_PROFILER_BASED, "num_threads": 1}
    return chosen, {key: samples}, options


def lq_quantize(job):
    """model, data, scale, out, best -> the int8 file of litert-quantizer."""
    chosen, samples, options = lq_quantizer(job)
    with contextlib.redirect_stdout(io.StringIO()):
        ranges = chosen.calibrate(samples, **options)
        result = chosen.quantize(ranges)
    with open(job["out"], "wb") as file:
        file.write(result.quantized_model)
    return {"bytes": len(result.quantized_model)}


def lq_calibrate(job):
    """model, data, scale, best, repeat -> seconds of each of `rounds` calibrations, and their samples."""
    chosen, samples, options = lq_quantizer(job)
    seconds = []
    for _ in range(job.get("rounds", 1)):
        with contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            chosen.calibrate(samples, **options)
            seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "samples": sum(len(s) for s in samples.values())}
