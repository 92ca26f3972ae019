"""Runs jobs on the peers that Octet is compared with: LiteRT, TensorFlow Lite Micro, litert-quantizer, TensorFlow.

    python peers.py JOBS.json RESULTS.jsonl
    python peers.py --one JOB               (the job's JSON; no worker; the answer goes to standard output)

JOBS.json holds a list of objects. Each has an "op" (see OPS) and what that op wants, and RESULTS.jsonl gets one line
for each, in order: the op's answer with "ok": true, or {"ok": false, "error": ..., "crashed": ...}.

The runtimes abort the whole process on some models, so jobs run in a worker process; when it dies, its job is reported
as crashed with the end of what it wrote to stderr, and a new worker goes on with the next job. Python takes a second
to import a runtime: one worker serves many jobs.

It never decides whether an answer is right. That is the caller's part.
"""

import importlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import traceback

# op -> (module, function). Imported when first asked for, so that a job pays only for the runtime that it names.
OPS = {
    "abort": ("os", "abort"),  # to try that a crash costs only its job
    "litert": ("runtimes", "litert"),
    "tflm": ("runtimes", "tflm"),
    "tflm_arena": ("runtimes", "tflm_arena"),
    "onnxruntime": ("runtimes", "onnxruntime"),
    "details": ("runtimes", "details"),
    "structure": ("structure", "structure"),
    "measure": ("measure", "measure"),
    "lq_quantize": ("litert_quantizer_jobs", "lq_quantize"),
    "lq_calibrate": ("litert_quantizer_jobs", "lq_calibrate"),
    "tf_quantize": ("tensorflow_jobs", "tf_quantize"),
    "litert_speed": ("speed", "litert_speed"),
    "onnx_prepare": ("onnx_jobs", "onnx_prepare"),
    "onnx_measure": ("onnx_jobs", "onnx_measure"),
    "chain": ("accelerator_jobs", "chain"),
    "reshaped": ("accelerator_jobs", "reshaped"),
    "runs": ("accelerator_jobs", "runs"),
    "vela": ("accelerator_jobs", "vela"),
}

STDERR_TAIL = 2000


def stderr_since(start):
    """What was written to stderr after `start`, where it is a file; the runtimes tell their reasons there."""
    try:
        end = os.lseek(2, 0, os.SEEK_END)
        return os.pread(2, STDERR_TAIL, max(start, end - STDERR_TAIL)).decode("utf-8", "replace")
    except OSError:
        return ""


def run_job(job):
    """The answer to one job, as an object that JSON can hold."""
    try:
        start = os.lseek(2, 0, os.SEEK_END)
    except OSError:
        start = 0
    try:
        module, function = OPS[job["op"]]
        # A job with a time limit ends its process when it runs over: the caller sees a crash.
        signal.alarm(math.ceil(job.get("seconds", 0)))
        function = getattr(importlib.import_module(module), function)
        answer = function() if module == "os" else function(job)
        return {"ok": True, **answer}
    except Exception as error:  # any failure of a peer is an answer, not our end
        return {
            "ok": False,
            "crashed": False,
            "error": f"{type(error).__name__}: {error}",
            "stderr": stderr_since(start),
            "trace": traceback.format_exc()[-STDERR_TAIL:],
        }


def worker(jobs_path, results_path, first):
    """Answers the jobs from number `first` on, one line each, flushed so that a crash loses only its own job."""
    with open(jobs_path, encoding="utf-8") as file:
        jobs = json.load(file)
    with open(results_path, "a", encoding="utf-8") as results:
        for job in jobs[first:]:
            results.write(json.dumps(run_job(job)) + "\n")
            results.flush()


def lines(path):
    with open(path, encoding="utf-8") as file:
        return sum(1 for _ in file)


def main(jobs_path, results_path):
    """Keeps a worker going until every job has its line."""
    with open(jobs_path, encoding="utf-8") as file:
        total = len(json.load(file))
    open(results_path, "w", encoding="utf-8").close()
    while (done := lines(results_path)) < total:
        with tempfile.TemporaryFile() as stderr:
            command = [sys.executable, os.path.abspath(__file__), "--worker", jobs_path, results_path, str(done)]
            code = subprocess.run(command, stderr=stderr, stdout=stderr, check=False).returncode
            if lines(results_path) == total:
                break
            size = stderr.seek(0, os.SEEK_END)
            stderr.seek(max(0, size - STDERR_TAIL))
            tail = stderr.read().decode("utf-8", "replace")
        with open(results_path, "a", encoding="utf-8") as results:
            answer = {"ok": False, "crashed": True, "error": f"the runtime ended the process ({code})", "stderr": tail}
            results.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    if sys.argv[1] == "--one":
        print(json.dumps(run_job(json.loads(sys.argv[2]))))
    elif sys.argv[1] == "--worker":
        worker(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main(sys.argv[1], sys.argv[2])
