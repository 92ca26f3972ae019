"""How long LiteRT takes for one inference."""

import time

import numpy as np

import data
import runtimes


def litert_speed(job):
    """model, data, scale; resolver, threads, seconds (how long to measure), rounds -> ms of one inference, a round.

    One round runs the first sample again and again; only `invoke` is inside the clock.
    """
    interpreter = runtimes.litert_interpreter(runtimes.read(job["model"]), job)
    given = interpreter.get_input_details()[0]
    x, _ = data.load(job["data"], job.get("scale"))
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], data.quantize(x[:1], given).reshape(given["shape"]))
    invoke = interpreter._interpreter.Invoke  # without the Python checks around it
    for _ in range(20):
        invoke()
    rounds = []
    for _ in range(job.get("rounds", 1)):
        times = []
        end = time.perf_counter() + job.get("seconds", 0.5)
        while (start := time.perf_counter()) < end:
            invoke()
            times.append(time.perf_counter() - start)
        rounds.append(float(np.median(times)) * 1e3)
    return {"ms": rounds}
