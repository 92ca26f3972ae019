"""What is in a .tflite file, in a form that does not depend on how its tables, tensors and buffers are numbered.

Read with TensorFlow Lite Micro's generated accessors, so that our own reader does not judge itself.
"""

import hashlib

import numpy as np

import runtimes


def digest(array):
    """Length and hash of bytes, or None of nothing."""
    if array is None or len(array) == 0:
        return None
    data = bytes(np.asarray(array, dtype=np.uint8))
    return f"{len(data)}:{hashlib.sha256(data).hexdigest()[:16]}"


def text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def fields(table):
    """A table's fields that differ from their defaults, deeply, so that an absent table and one of defaults are equal."""
    if table is None:
        return {}
    defaults = vars(type(table)())
    found = {name: value_of(value) for name, value in vars(table).items()}
    return {name: value for name, value in found.items() if value != value_of(defaults.get(name))}


def value_of(value):
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [value_of(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bytes):
        return text(value)
    if hasattr(value, "__dict__"):
        return {"": type(value).__name__, **fields(value)}
    return value


class File:
    """A file's buffers: inside the flatbuffer, or behind it by offset and size."""

    def __init__(self, path):
        from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

        self.bytes = runtimes.read(path)
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(self.bytes, 0))
        self.operators = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
        self.types = {v: k for k, v in vars(schema.TensorType).items() if not k.startswith("_")}

    def buffer(self, index):
        buffer = self.model.buffers[index]
        if buffer.offset and buffer.offset > 1:
            return digest(np.frombuffer(self.bytes[buffer.offset : buffer.offset + buffer.size], dtype=np.uint8))
        return digest(buffer.data)

    def tensor(self, tensor):
        return {
            "name": text(tensor.name) or "",
            "type": self.types.get(tensor.type, tensor.type),
            "shape": value_of(tensor.shape) if tensor.shape is not None else [],
            "shape_signature": value_of(tensor.shapeSignature) if tensor.shapeSignature is not None else [],
            "is_variable": bool(tensor.isVariable),
            "quantization": fields(tensor.quantization),
            "sparsity": fields(tensor.sparsity),
            "data": self.buffer(tensor.buffer),
        }

    def graph(self, graph):
        """Tensors are numbered by where they are first met: inputs, then op by op."""
        numbers = {}

        def number(index):
            return -1 if index < 0 else numbers.setdefault(int(index), len(numbers))

        def all_numbers(indices):
            return [] if indices is None else [number(i) for i in indices]

        inputs = all_numbers(graph.inputs)
        operators = []
        for op in graph.operators or []:
            code = self.model.operatorCodes[op.opcodeIndex]
            builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
            operators.append(
                {
                    "op": text(code.customCode) if code.customCode else self.operators.get(builtin, builtin),
                    "version": code.version,
                    "inputs": all_numbers(op.inputs),
                    "outputs": all_numbers(op.outputs),
                    "intermediates": all_numbers(op.intermediates),
                    "options": fields(op.builtinOptions),
                    "options_2": fields(op.builtinOptions2),
                    "custom_options": digest(op.customOptions),
                }
            )
        outputs = all_numbers(graph.outputs)
        met = [self.tensor(graph.tensors[index]) for index in numbers]
        unused = [self.tensor(t) for i, t in enumerate(graph.tensors or []) if i not in numbers]
        unused.sort(key=str)
        shape = {"inputs": inputs, "outputs": outputs, "operators": operators, "tensors": met, "unused": unused}
        return {"name": text(graph.name) or "", **shape}, numbers

    def structure(self):
        found = [self.graph(graph) for graph in self.model.subgraphs]
        signatures = []
        for signature in self.model.signatureDefs or []:
            numbers = found[signature.subgraphIndex][1]
            signatures.append(
                {
                    "key": text(signature.signatureKey),
                    "graph": signature.subgraphIndex,
                    "inputs": [[text(m.name), numbers.get(m.tensorIndex)] for m in signature.inputs or []],
                    "outputs": [[text(m.name), numbers.get(m.tensorIndex)] for m in signature.outputs or []],
                }
            )
        metadata = [[text(m.name), self.buffer(m.buffer)] for m in self.model.metadata or []]
        return {
            "version": self.model.version,
            "description": text(self.model.description) or "",
            "graphs": [graph for graph, _ in found],
            "signatures": signatures,
            "metadata": metadata,
        }


def structure(job):
    """model -> everything in the file but numbering and padding."""
    return File(job["model"]).structure()
