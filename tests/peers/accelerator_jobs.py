"""Accelerators' side: segments run one after the other in LiteRT, and what Vela, Arm's compiler for Ethos-U, leaves to the CPU."""

import os
import signal
import subprocess
import sys
import tempfile

import numpy as np

import data
import runtimes


def random_input(detail, generator):
    """Any value that the type holds; floats from -1 to 1."""
    dtype, shape = np.dtype(detail["dtype"]), detail["shape"]
    if dtype.kind == "f":
        return generator.uniform(-1, 1, shape).astype(dtype)
    info = np.iinfo(dtype)
    return generator.integers(info.min, info.max + 1, shape).astype(dtype)


def run_named(path, tensors):
    """Runs a model on the tensors of its inputs' names, and adds its outputs to them."""
    interpreter = runtimes.litert_interpreter(runtimes.read(path), {})
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], tensors[detail["name"]])
    interpreter.invoke()
    for detail in interpreter.get_output_details():
        tensors[detail["name"]] = interpreter.get_tensor(detail["index"])
    return [detail["name"] for detail in interpreter.get_output_details()]


def chain(job):
    """model, segments, samples -> how many samples the chain of segments gives the model's bytes on."""
    interpreter = runtimes.litert_interpreter(runtimes.read(job["model"]), {})
    interpreter.allocate_tensors()
    generator = np.random.default_rng(7)
    equal = 0
    for _ in range(job["samples"]):
        given = {d["name"]: random_input(d, generator) for d in interpreter.get_input_details()}
        whole = dict(given)
        outputs = run_named(job["model"], whole)
        tensors = dict(given)
        for segment in job["segments"]:
            run_named(segment, tensors)
        equal += all(np.array_equal(whole[name], tensors[name]) for name in outputs)
    return {"equal": equal, "samples": job["samples"]}


def reshaped(job):
    """data, scale, shape (of a sample), limit; out: the samples in another shape, as an .npy."""
    x, _ = data.load(job["data"], job.get("scale"))
    np.save(job["out"], x[: job["limit"]].reshape([-1, *job["shape"]]))
    return {}


def runs(job):
    """model, samples -> by how many levels LiteRT's reference kernels and TFLite Micro differ at most on random inputs."""
    from tflite_micro.python.tflite_micro import runtime

    model = runtimes.read(job["model"])
    interpreter = runtimes.litert_interpreter(model, {"resolver": "reference"})
    interpreter.allocate_tensors()
    micro = runtime.Interpreter.from_bytes(model, arena_size=runtimes.TFLM_ARENA)
    generator = np.random.default_rng(7)
    most = 0
    for _ in range(job["samples"]):
        for i, detail in enumerate(interpreter.get_input_details()):
            array = random_input(detail, generator)
            interpreter.set_tensor(detail["index"], array)
            micro.set_input(array, i)
        interpreter.invoke()
        micro.invoke()
        for i, detail in enumerate(interpreter.get_output_details()):
            a, b = interpreter.get_tensor(detail["index"]), micro.get_output(i)
            most = max(most, int(np.max(np.abs(a.astype(np.int32) - b.astype(np.int32)), initial=0)))
    return {"most": most}


def failure(done):
    """How Vela ended without a file: the signal that it died of, or its own error in one line."""
    if done.returncode < 0:
        return f"dies of {signal.Signals(-done.returncode).name}"
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    last = max((i for i, line in enumerate(lines) if line.startswith("RuntimeError: ")), default=len(lines) - 1)
    said = " ".join(lines[last:]) if lines else f"ends with {done.returncode} and says nothing"
    return "raises " + said


def vela(job):
    """model, accelerator -> the names of the first outputs of the operators that Vela leaves to the CPU, and its reasons."""
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    with tempfile.TemporaryDirectory() as folder:
        command = [os.path.join(os.path.dirname(sys.executable), "vela"), "--accelerator-config", job["accelerator"]]
        done = subprocess.run([*command, "--output-dir", folder, job["model"]], capture_output=True, text=True, timeout=300)
        written = [name for name in os.listdir(folder) if name.endswith("_vela.tflite")]
        if done.returncode != 0 or not written:
            raise RuntimeError(failure(done))
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(runtimes.read(os.path.join(folder, written[0])), 0))
    graph = model.subgraphs[0]
    cpu = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex].customCode
        has_result = operator.outputs is not None and len(operator.outputs) > 0
        if has_result and (code is None or bytes(code) != b"ethos-u"):
            cpu.append(graph.tensors[operator.outputs[0]].name.decode("utf-8", "replace"))
    reasons = {}
    lines = done.stdout.splitlines() + done.stderr.splitlines()
    for line, following in zip(lines, lines[1:]):
        if line.startswith("Warning (supported operators)"):
            reasons[line.rsplit("ofm: ", 1)[-1].strip("'")] = following.removeprefix("Reason: ")
    return {"cpu": cpu, "reasons": reasons}
