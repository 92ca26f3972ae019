"""Runs a model in LiteRT, TensorFlow Lite Micro and ONNX Runtime, and tells what LiteRT says about it.

Inputs are an .npz whose entries "0", "1", ... are the model's inputs in order, each with one more axis in front: the
samples. Outputs go to an .npz with "o0", "o1", ... stacked in the same way and, with "tensors": "all", "tINDEX" for
every tensor of the main subgraph that an op writes. Integers go in and come out raw. With "sums", each sample's array is
replaced by the CRC-32 of its bytes: enough to say whether two runtimes agree, for tensors that are too large to keep.
"""

import zlib

import numpy as np

# TFLM with every tensor preserved needs room for all of them at once. Untouched pages cost nothing.
TFLM_ARENA = 96 << 20


def read(path):
    with open(path, "rb") as file:
        return file.read()


def load_inputs(path):
    """The inputs in order, each of shape [samples, ...]."""
    with np.load(path) as data:
        return [data[str(i)] for i in range(len(data.files))]


def main_graph(model):
    """The flatbuffer's main subgraph."""
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    return schema.Model.GetRootAsModel(model, 0).Subgraphs(0)


def written_tensors(model):
    """Indices of the main subgraph's tensors that an op writes, without those that are no numbers: TFLM crashes when a resource is read."""
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    no_numbers = {schema.TensorType.STRING, schema.TensorType.RESOURCE, schema.TensorType.VARIANT}
    graph = main_graph(model)
    found = set()
    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        found.update(op.Outputs(k) for k in range(op.OutputsLength()) if op.Outputs(k) >= 0)
    return sorted(index for index in found if graph.Tensors(index).Type() not in no_numbers)


def litert_interpreter(model, job):
    """A LiteRT interpreter. "resolver": xnnpack (LiteRT's default), builtin (no delegate), reference."""
    from ai_edge_litert import interpreter as tfl

    resolver = {
        "xnnpack": tfl.OpResolverType.BUILTIN,
        "builtin": tfl.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        "reference": tfl.OpResolverType.BUILTIN_REF,
    }[job.get("resolver", "xnnpack")]
    return tfl.Interpreter(
        model_content=model,
        num_threads=job.get("threads", 1),
        experimental_op_resolver_type=resolver,
        experimental_preserve_all_tensors=job.get("tensors") == "all",
    )


class Stack:
    """Collects one array a sample under each name, and writes them stacked."""

    def __init__(self, sums):
        self.arrays = {}
        self.unread = {}
        self.sums = sums

    def add(self, name, read_array):
        """Notes the array that `read_array` gives, or why the runtime did not give one."""
        if name in self.unread:
            return
        try:
            array = np.array(read_array())
            if array.dtype.hasobject:
                # Handles of variables, strings.
                raise ValueError("its elements are no numbers")
            if self.sums:
                array = np.uint32(zlib.crc32(array.tobytes()))
            self.arrays.setdefault(name, []).append(array)
        except (ValueError, RuntimeError, IndexError) as error:
            self.unread[name] = str(error).strip()[:200]
            self.arrays.pop(name, None)

    def save(self, path):
        """Arrays whose shape changed between samples are told, not written: they do not stack."""
        stacked = {}
        for name, arrays in self.arrays.items():
            if len({a.shape for a in arrays}) > 1:
                self.unread[name] = "its shape differs between samples"
            else:
                stacked[name] = np.stack(arrays)
        np.savez(path, **stacked)
        return {"arrays": sorted(stacked), "unread": self.unread}


def litert(job):
    """model, inputs, out; threads, resolver, tensors, reset (variables go back to zero before each sample)."""
    model = read(job["model"])
    inputs = load_inputs(job["inputs"])
    interpreter = litert_interpreter(model, job)
    wanted = interpreter.get_input_details()
    if len(wanted) != len(inputs):
        raise ValueError(f"the model has {len(wanted)} inputs, the data {len(inputs)}")
    for detail, array in zip(wanted, inputs):
        if list(detail["shape"]) != list(array.shape[1:]):
            interpreter.resize_tensor_input(detail["index"], array.shape[1:])
    interpreter.allocate_tensors()
    tensors = written_tensors(model) if job.get("tensors") == "all" else []
    outputs = [detail["index"] for detail in interpreter.get_output_details()]
    stack = Stack(job.get("sums"))
    for sample in range(len(inputs[0]) if inputs else 1):
        if job.get("reset"):
            interpreter.reset_all_variables()
        for detail, array in zip(wanted, inputs):
            interpreter.set_tensor(detail["index"], array[sample])
        interpreter.invoke()
        for i, index in enumerate(outputs):
            stack.add(f"o{i}", lambda: interpreter.get_tensor(index))
        for index in tensors:
            stack.add(f"t{index}", lambda: interpreter.get_tensor(index))
    return stack.save(job["out"])


def tflm(job):
    """model, inputs, out; tensors, arena (bytes), reset (state goes back to zero before each sample)."""
    from tflite_micro.python.tflite_micro import runtime

    model = read(job["model"])
    inputs = load_inputs(job["inputs"])
    every = job.get("tensors") == "all"
    config = runtime.InterpreterConfig
    interpreter = runtime.Interpreter.from_bytes(
        model,
        arena_size=job.get("arena", TFLM_ARENA),
        intrepreter_config=config.kPreserveAllTensors if every else config.kAllocationRecording,
    )
    tensors = written_tensors(model) if every else []
    outputs = main_graph(model).OutputsLength()
    stack = Stack(job.get("sums"))
    for sample in range(len(inputs[0]) if inputs else 1):
        if job.get("reset"):
            interpreter.reset()
        for i, array in enumerate(inputs):
            interpreter.set_input(array[sample], i)
        interpreter.invoke()
        for i in range(outputs):
            stack.add(f"o{i}", lambda: interpreter.get_output(i))
        for index in tensors:
            stack.add(f"t{index}", lambda: interpreter.GetTensor(index, 0)["tensor_data"])
    return stack.save(job["out"])


def tflm_runs(model, arena):
    """The outputs for inputs of ones in an arena of so many bytes, or None where it does not suffice. In a process of its own: a far too small
    arena ends it."""
    import os

    from tflite_micro.python.tflite_micro import runtime

    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena)
            graph = main_graph(model)
            for i in range(graph.InputsLength()):
                detail = interpreter.get_input_details(i)
                interpreter.set_input(np.ones(detail["shape"], detail["dtype"]), i)
            interpreter.invoke()
            with os.fdopen(sink, "wb") as file:
                for i in range(graph.OutputsLength()):
                    file.write(interpreter.get_output(i).tobytes())
            code = 0
        finally:
            os._exit(code)
    os.close(sink)
    with os.fdopen(source, "rb") as file:
        outputs = file.read()
    return outputs if os.waitpid(child, 0)[1] == 0 else None


def tflm_arena(job):
    """models, printed -> least (bytes of arena for each model), below (whether the last one runs with a byte less than its least), runs (whether it
    does with `printed` bytes), equal (whether all models give the same outputs)."""
    least, outputs = [], []
    for path in job["models"]:
        model = read(path)
        low, high = 0, 1 << 24
        while low < high:
            middle = (low + high) // 2
            if tflm_runs(model, middle) is None:
                low = middle + 1
            else:
                high = middle
        least.append(high)
        outputs.append(tflm_runs(model, high))
    return {
        "least": least,
        "below": tflm_runs(model, least[-1] - 1) is not None,
        "runs": tflm_runs(model, job["printed"]) is not None,
        "equal": outputs[0] is not None and all(o == outputs[0] for o in outputs),
    }


def onnxruntime(job):
    """model (.onnx), inputs, out; without graph optimizations, so that what is computed is what the file says."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = job.get("threads", 1)
    session = ort.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])
    inputs = load_inputs(job["inputs"])
    names = [given.name for given in session.get_inputs()]
    stack = Stack(job.get("sums"))
    for sample in range(len(inputs[0])):
        outputs = session.run(None, {name: array[sample] for name, array in zip(names, inputs)})
        for i, array in enumerate(outputs):
            stack.add(f"o{i}", lambda: array)
    return stack.save(job["out"])


def plain(value):
    """A detail as JSON can hold it. Scales are widened from f32 to f64, which changes none of them."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, type):
        return np.dtype(value).name
    return value


def details(job):
    """model -> inputs, outputs, tensors and signatures as LiteRT's interpreter tells them."""
    interpreter = litert_interpreter(read(job["model"]), {"resolver": "builtin"})
    if job.get("allocate", True):
        interpreter.allocate_tensors()
    return {
        "inputs": plain(interpreter.get_input_details()),
        "outputs": plain(interpreter.get_output_details()),
        "tensors": plain(interpreter.get_tensor_details()),
        "signatures": plain(interpreter.get_signature_list()),
    }
