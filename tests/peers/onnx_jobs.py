"""ONNX networks with data: what benchmarks of roads from ONNX to int8 need. The converters themselves run as processes of their own."""

import numpy as np

import data
import runtimes

SAMPLES = 64


def session(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def onnx_prepare(job):
    """model, shape (of one input, with its batch of 1), calibration and test (files, or null: normally distributed numbers), scale;
    out_calibration, out_moved, out_test.

    Writes samples for calibration and for the test, the first axis being the samples. Gives the name of the input.
    """
    given, = session(job["model"]).get_inputs()
    shape = job["shape"]
    if job.get("calibration"):
        calibration, _ = data.load(job["calibration"], job.get("scale"))
        test, _ = data.load(job["test"], job.get("scale"))
    else:
        numbers = np.random.default_rng(2026)
        calibration, test = (numbers.standard_normal([SAMPLES, *shape[1:]], dtype=np.float32) for _ in range(2))
    calibration, test = (x[:SAMPLES].reshape([-1, *shape[1:]]) for x in (calibration, test))
    np.save(job["out_calibration"], calibration)
    np.save(job["out_moved"], np.ascontiguousarray(moved(calibration)))
    np.save(job["out_test"], test)
    return {"input": given.name, "rank": len(shape)}


def moved(x):
    """The samples as onnx2tf takes them: the second axis last."""
    return np.moveaxis(x, 1, -1) if x.ndim > 2 else x


def onnx_measure(job):
    """model, test, models (a list of .tflite paths): SQNR in dB of each against ONNX Runtime over all outputs' values, and its bytes."""
    test = np.load(job["test"])
    reference = session(job["model"])
    name = reference.get_inputs()[0].name
    y = np.stack([reference.run(None, {name: test[i : i + 1]})[0] for i in range(len(test))]).astype(np.float64)
    found = []
    for path in job["models"]:
        try:
            q = run(path, test)
            noise = np.sum((y.reshape(-1) - q.reshape(-1)) ** 2)
            found.append({"sqnr": float(10 * np.log10(np.sum(y**2) / noise)) if noise > 0 else None, "bytes": len(runtimes.read(path))})
        except (ValueError, RuntimeError) as error:
            found.append({"error": str(error)[:200]})
    return {"models": found}


def run(path, test):
    interpreter = runtimes.litert_interpreter(runtimes.read(path), {"resolver": "builtin"})
    interpreter.allocate_tensors()
    given, = interpreter.get_input_details()
    result = interpreter.get_output_details()[0]
    shape = list(given["shape"])
    if shape != [1, *test.shape[1:]]:
        test = moved(test)
    kinds = np.dtype(given["dtype"]).name, np.dtype(result["dtype"]).name
    if kinds != ("int8", "int8"):
        raise ValueError(f"inputs and outputs are {kinds[0]} and {kinds[1]}, not int8")
    floats = [d["name"] for d in interpreter.get_tensor_details() if d["dtype"] in (np.float32, np.float16)]
    if floats:
        raise ValueError(f"{len(floats)} tensors are not integer")
    integers = data.quantize(np.ascontiguousarray(test), given)
    out = []
    for i in range(len(integers)):
        interpreter.set_tensor(given["index"], integers[i : i + 1])
        interpreter.invoke()
        out.append(interpreter.get_tensor(result["index"]))
    return data.dequantize(np.stack(out), result)
