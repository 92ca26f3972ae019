"""How close quantized models stay to their float model on test data, measured through LiteRT.

SQNR = 10 log10(sum y^2 / sum (y - q)^2) in dB over all outputs of all samples: y from the float model, q from the
quantized one, integers dequantized. "accuracy" is top-1 on the output (the first of equal values wins), "mse" the mean
squared error against the test data's y.
"""

import os

import numpy as np

import data
import runtimes


def outputs(path, x, job):
    """The model's first output for every sample of x, real values, [samples, ...], and the interpreter."""
    interpreter = runtimes.litert_interpreter(runtimes.read(path), job)
    given, = interpreter.get_input_details()
    shape = [1, *x.shape[1:]]
    if list(given["shape"]) != shape:
        interpreter.resize_tensor_input(given["index"], shape)
    interpreter.allocate_tensors()
    result = interpreter.get_output_details()[0]
    integers = data.quantize(x, given)
    found = []
    for sample in range(len(x)):
        interpreter.set_tensor(given["index"], integers[sample : sample + 1])
        interpreter.invoke()
        found.append(interpreter.get_tensor(result["index"])[0])
    kinds = [np.dtype(d["dtype"]).name for d in (given, result)]
    return data.dequantize(np.stack(found), result), kinds


def score(metric, y, labels):
    """The task metric of outputs y, or None where the data has no labels."""
    if metric is None or labels is None:
        return None
    if metric == "accuracy":
        return float(np.mean(np.argmax(y.reshape(len(y), -1), axis=1) == labels.reshape(-1)))
    return float(np.mean((y.reshape(-1) - labels.astype(np.float64).reshape(-1)) ** 2))


def measure(job):
    """float, models (a list of paths), data, scale, metric; resolver, threads.

    Gives the float model's metric and, for each model, bytes, sqnr (null if it equals the float output), metric, and
    the types of input and output; or an error for a model that LiteRT does not run.
    """
    x, labels = data.load(job["data"], job.get("scale"))
    if job.get("limit"):
        x, labels = x[: job["limit"]], None if labels is None else labels[: job["limit"]]
    y, _ = outputs(job["float"], x, job)
    found = []
    for path in job["models"]:
        try:
            q, (given, result) = outputs(path, x, job)
        except (ValueError, RuntimeError) as error:
            found.append({"model": path, "error": str(error)[:300]})
            continue
        noise = float(np.sum((y - q) ** 2))
        found.append(
            {
                "model": path,
                "bytes": os.path.getsize(path),
                "sqnr": None if noise == 0 else 10 * float(np.log10(np.sum(y**2) / noise)),
                "metric": score(job.get("metric"), q, labels),
                "input": given,
                "output": result,
            }
        )
    return {
        "float_metric": score(job.get("metric"), y, labels),
        "float_bytes": os.path.getsize(job["float"]),
        "samples": len(x),
        "models": found,
    }
