"""Golden results of single quantized operations, from the runtimes themselves.

Makes random one-operation models, runs them in TensorFlow Lite Micro (or, where it has no kernel, in LiteRT's reference
kernels), and writes each as a case that the evaluator's tests read: the operation in `octet.ir` text, and lines of inputs
and outputs in hexadecimal.

    python golden_ops.py OUT_DIR [CASES_PER_KIND] [KIND ...]

A case whose model the runtime refuses is left out; the number of cases written is printed per kind.
"""

import os
import pickle
import sys

import numpy as np

STORAGE = {"i8": np.int8, "u8": np.uint8, "i16": np.int16, "i32": np.int32, "i64": np.int64, "f32": np.float32, "bool": np.bool_}
SCHEMA_TYPES = {"f32": 0, "i32": 2, "u8": 3, "i64": 4, "bool": 6, "i16": 7, "i8": 9, "i4": 17}


class T:
    """A tensor: element type, shape, quantization, and its constant data if it has some."""

    def __init__(self, elem, shape, scale=None, zero=0, axis=None, data=None, variable=False):
        self.elem, self.shape, self.axis, self.variable = elem, list(shape), axis, variable
        self.scale = None if scale is None else [np.float32(s) for s in np.atleast_1d(scale)]
        self.zero, self.data = int(zero), data

    def bytes(self):
        if self.elem == "i4":
            flat = self.data.reshape(-1).astype(np.int8)
            flat = np.concatenate([flat, np.zeros(len(flat) % 2, np.int8)])
            return ((flat[0::2] & 15) | ((flat[1::2] & 15) << 4)).astype(np.uint8).tobytes()
        return np.ascontiguousarray(self.data).tobytes()

    def text(self):
        shape = "x".join(map(str, self.shape))
        shape += " " if self.shape else ""
        if self.scale is None:
            return shape + self.elem
        if self.axis is None:
            return f"{shape}!q<{self.elem}, {self.scale[0]}:{self.zero}>"
        return f"{shape}!q<{self.elem}, axis {self.axis}, [{', '.join(str(s) for s in self.scale)}]>"


class Case:
    """One operation: TFLite builtin name, options object, IR mnemonic and attributes, operands and results."""

    def __init__(self, builtin, options, mnemonic, attributes, operands, results, runtime="tflm"):
        self.builtin, self.options, self.mnemonic, self.attributes = builtin, options, mnemonic, attributes
        self.operands, self.results, self.runtime = operands, results, runtime

    def inputs(self):
        return [t for t in self.operands if t is not None and t.data is None and not t.variable]

    def model(self, version=5):
        import flatbuffers
        from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as s

        tensors, buffers, index = [], [s.BufferT()], {}

        def add(t):
            if id(t) in index:
                return index[id(t)]
            tensor = s.TensorT()
            tensor.shape, tensor.type, tensor.name = t.shape, SCHEMA_TYPES[t.elem], f"t{len(tensors)}".encode()
            tensor.isVariable, tensor.buffer = t.variable, 0
            if t.data is not None:
                buffer = s.BufferT()
                buffer.data = np.frombuffer(t.bytes(), np.uint8)
                tensor.buffer = len(buffers)
                buffers.append(buffer)
            else:
                tensor.buffer = len(buffers)
                buffers.append(s.BufferT())
            if t.scale is not None:
                q = s.QuantizationParametersT()
                q.scale, q.zeroPoint = [float(x) for x in t.scale], [t.zero] * len(t.scale)
                q.quantizedDimension = t.axis or 0
                tensor.quantization = q
            index[id(t)] = len(tensors)
            tensors.append(tensor)
            return index[id(t)]

        code = s.OperatorCodeT()
        builtin = getattr(s.BuiltinOperator, self.builtin)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), version
        op = s.OperatorT()
        op.inputs = [-1 if t is None else add(t) for t in self.operands]
        op.outputs = [add(t) for t in self.results]
        if self.options is not None:
            name, fields = self.options
            op.builtinOptionsType = getattr(s.BuiltinOptions, name)
            op.builtinOptions = getattr(s, name + "T")()
            for key, value in fields.items():
                setattr(op.builtinOptions, key, value)
        graph = s.SubGraphT()
        graph.tensors, graph.operators = tensors, [op]
        graph.inputs = [index[id(t)] for t in self.inputs()]
        graph.outputs = list(op.outputs)
        model = s.ModelT()
        model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def text(self):
        names, lines = {}, []
        for t in self.inputs():
            names[id(t)] = f"%{len(names)}"
        head = ", ".join(f"{names[id(t)]}: {t.text()}" for t in self.inputs())
        for t in self.operands:
            if t is None or id(t) in names:
                continue
            names[id(t)] = f"%{len(names)}"
            kind = "variable" if t.variable else f'const x"{t.bytes().hex()}"'
            lines.append(f"  {names[id(t)]} = {kind} : {t.text()}")
        for t in self.results:
            names[id(t)] = f"%{len(names)}"
        attributes = ", ".join(f"{k} = {v}" for k, v in self.attributes.items() if v != "none")
        attributes = f" {{{attributes}}}" if attributes else ""
        operands = ", ".join("_" if t is None else names[id(t)] for t in self.operands)
        results = ", ".join(names[id(t)] for t in self.results)
        types = ", ".join(t.text() for t in self.results)
        lines.append(f"  {results} = {self.mnemonic}({operands}){attributes} : {types}")
        return "\n".join([f"graph @main({head}) {{", *lines, f"  return {results}", "}"])


def run_tflm(case, samples):
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(case.model(), arena_size=1 << 24)
    found = []
    for sample in samples:
        for i, x in enumerate(sample):
            interpreter.set_input(x, i)
        interpreter.invoke()
        found.append([np.array(interpreter.get_output(i)) for i in range(len(case.results))])
    return found


def run_litert(case, samples):
    from ai_edge_litert import interpreter as tfl

    # LiteRT knows up to which version it has each kernel; the newest one that it takes will do.
    for version in range(9, 0, -1):
        try:
            reference = tfl.OpResolverType.BUILTIN_REF
            interpreter = tfl.Interpreter(model_content=case.model(version), experimental_op_resolver_type=reference)
            break
        except ValueError:
            if version == 1:
                raise
    interpreter.allocate_tensors()
    ins, outs = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for sample in samples:
        for d, x in zip(ins, sample):
            interpreter.set_tensor(d["index"], x)
        interpreter.invoke()
        found.append([np.array(interpreter.get_tensor(d["index"])) for d in outs])
    return found


def isolated(function, *arguments):
    """The function's result from a child process, None if it raises or aborts."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        if not os.environ.get("GOLDEN_VERBOSE"):
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
        try:
            data = pickle.dumps(function(*arguments))
        except Exception as error:
            if os.environ.get("GOLDEN_VERBOSE"):
                print(error, file=sys.stderr)
            data = b""
        with os.fdopen(write, "wb") as pipe:
            pipe.write(data)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(data) if data else None


def values(rng, t):
    """Random data for a graph input."""
    dtype = STORAGE[t.elem]
    if t.elem == "f32":
        return (rng.standard_normal(t.shape) * rng.choice([0.1, 1, 10])).astype(np.float32)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if t.elem in ("i32", "i64"):
        low, high = -100000, 100000
    style = rng.integers(3)
    if style == 0:
        return rng.integers(low, high, t.shape, dtype, endpoint=True)
    if style == 1:
        return np.clip(rng.normal(t.zero, (high - low) / 20, t.shape), low, high).astype(dtype)
    return rng.choice(np.array([low, low + 1, 0, high - 1, high, t.zero], dtype), t.shape)


def write(case, rng, out, runs):
    samples = [[values(rng, t) for t in case.inputs()] for _ in range(runs)]
    found = isolated(run_tflm if case.runtime == "tflm" else run_litert, case, samples)
    if found is None:
        return False
    for result in found:
        for t, y in zip(case.results, result):
            if list(y.shape) != t.shape and int(np.prod(y.shape)) != int(np.prod(t.shape)):
                return False
    lines = [f"runtime {case.runtime}", "octet.ir 1", case.text()]
    for sample, result in zip(samples, found):
        ins = " ".join(np.ascontiguousarray(x).tobytes().hex() for x in sample)
        outs = " ".join(np.ascontiguousarray(y).tobytes().hex() for y in result)
        lines.append(f"run {ins} -> {outs}")
    out.write("\n".join(lines) + "\n---\n")
    return True


# --- kinds of cases -------------------------------------------------------------------------------------------------


def scale(rng, low=-3.5, high=-0.5):
    return np.float32(10 ** rng.uniform(low, high))


def zero(rng, elem):
    if elem == "i16":
        return 0
    low = 0 if elem == "u8" else -128
    return int(rng.choice([low, low + 255, low + 128, rng.integers(low, low + 256)]))


def act(rng, elem, shape, **more):
    return T(elem, shape, scale(rng), zero(rng, elem), **more)


def runtime_of(elem, here=True):
    return "tflm" if here and elem != "u8" else "litert"


ACTIVATIONS = [(0, "none"), (1, "relu"), (2, "relu_n1_to_1"), (3, "relu6")]


def activation(rng, only=4):
    return ACTIVATIONS[rng.integers(only)]


def weights(rng, elem, shape, channels, axis, per_channel):
    if elem == "u8":
        return T("u8", shape, scale(rng, -3, -1), rng.integers(100, 156), data=rng.integers(0, 256, shape).astype(np.uint8))
    high = 7 if elem == "i4" else 127
    data = rng.integers(-high, high + 1, shape).astype(np.int8)
    if per_channel:
        return T(elem, shape, [scale(rng, -3, -1) for _ in range(channels)], axis=axis, data=data)
    return T(elem, shape, scale(rng, -3, -1), data=data)


def layer(rng, elem, x, filter, shape, k, channels, axis_scale=True):
    """Bias and output of a layer whose sums span most of the output's range."""
    per = filter.scale if len(filter.scale) > 1 else filter.scale * channels
    spread = {"i8": 73 * 73, "u8": 73 * 73, "i16": 18000 * 73}[elem] * (0.1 if filter.elem == "i4" else 1)
    top = 32767 if elem == "i16" else 127
    real = float(x.scale[0]) * float(np.mean([float(s) for s in per])) * spread * np.sqrt(k) * rng.choice([0.5, 1, 3])
    output = T(elem, shape, max(real / top, 1e-7), zero(rng, elem))
    kind = rng.integers(4)
    if kind == 0:
        return None, output
    wide = elem == "i16" and kind != 3
    data = (rng.standard_normal(channels) * spread).astype(np.int64 if wide else np.int32)
    bias_scale = [np.float32(x.scale[0]) * s for s in filter.scale]
    axis = 0 if len(filter.scale) > 1 else None
    return T("i64" if wide else "i32", [channels], bias_scale, axis=axis, data=data), output


def same(size, stride):
    return -(-size // stride)


def conv_2d(rng, elem):
    h, w, cin, cout = rng.integers(1, 9), rng.integers(1, 9), int(rng.choice([1, 2, 3, 4, 8])), int(rng.choice([1, 3, 8, 16, 17]))
    kh, kw = (1, 1) if rng.random() < 0.3 else (rng.integers(1, 4), rng.integers(1, 4))
    stride, dilation = rng.integers(1, 3, 2), rng.integers(1, 3, 2)
    if max(dilation) > 1:
        stride = [1, 1]
    groups = 2 if elem != "u8" and cin % 2 == 0 and cout % 2 == 0 and rng.random() < 0.2 else 1
    valid = rng.random() < 0.5 and h >= (kh - 1) * dilation[0] + 1 and w >= (kw - 1) * dilation[1] + 1
    n = int(rng.integers(1, 3))
    x = act(rng, elem, [n, h, w, cin])
    felem = "u8" if elem == "u8" else "i4" if elem == "i8" and rng.random() < 0.2 else "i8"
    f = weights(rng, felem, [cout, kh, kw, cin // groups], cout, 0, elem != "u8" and rng.random() < 0.7)
    inside = [(h - (kh - 1) * dilation[0] - 1) // stride[0] + 1, (w - (kw - 1) * dilation[1] - 1) // stride[1] + 1]
    size = inside if valid else [same(h, stride[0]), same(w, stride[1])]
    bias, y = layer(rng, elem, x, f, [n, *size, cout], kh * kw * cin // groups, cout)
    a, name = activation(rng)
    options = dict(padding=int(valid), strideH=int(stride[0]), strideW=int(stride[1]), dilationHFactor=int(dilation[0]),
        dilationWFactor=int(dilation[1]), fusedActivationFunction=a)
    attributes = dict(padding="valid" if valid else "same", stride=f"[{stride[0]}, {stride[1]}]", dilation=f"[{dilation[0]}, {dilation[1]}]", activation=name)
    if elem == "i16" and bias is None and rng.random() < 0.5:
        options["quantizedBiasType"] = 2
        attributes["quantized_bias_type"] = "i32"
    return Case("CONV_2D", ("Conv2DOptions", options), "conv_2d", attributes, [x, f] + ([bias] if bias else []), [y], runtime_of(elem))


def depthwise_conv_2d(rng, elem):
    h, w, c, m = rng.integers(1, 8), rng.integers(1, 8), int(rng.choice([1, 3, 8, 16, 20])), int(rng.choice([1, 1, 2, 3]))
    kh, kw = rng.integers(1, 4), rng.integers(1, 4)
    stride = [int(rng.integers(1, 3))] * 2
    dilation = [int(rng.integers(1, 3))] * 2 if stride == [1, 1] else [1, 1]
    x = act(rng, elem, [1, h, w, c])
    felem = "u8" if elem == "u8" else "i4" if elem == "i8" and rng.random() < 0.2 else "i8"
    f = weights(rng, felem, [1, kh, kw, c * m], c * m, 3, elem != "u8" and rng.random() < 0.7)
    valid = rng.random() < 0.5 and h >= (kh - 1) * dilation[0] + 1 and w >= (kw - 1) * dilation[1] + 1
    inside = [(h - (kh - 1) * dilation[0] - 1) // stride[0] + 1, (w - (kw - 1) * dilation[1] - 1) // stride[1] + 1]
    size = inside if valid else [same(h, stride[0]), same(w, stride[1])]
    bias, y = layer(rng, elem, x, f, [1, *size, c * m], kh * kw, c * m)
    if bias is None or (elem == "i16" and bias.elem == "i32"):
        bias = T("i64" if elem == "i16" else "i32", [c * m], 1.0, data=np.zeros(c * m, np.int64 if elem == "i16" else np.int32))
        bias.scale = [np.float32(x.scale[0]) * s for s in f.scale]
        bias.axis = 0 if len(f.scale) > 1 else None
    a, name = activation(rng)
    options = dict(padding=int(valid), strideH=stride[0], strideW=stride[1], dilationHFactor=dilation[0], dilationWFactor=dilation[1],
        depthMultiplier=m, fusedActivationFunction=a)
    attributes = dict(padding="valid" if valid else "same", stride=str(stride), dilation=str(dilation), depth_multiplier=m, activation=name)
    return Case("DEPTHWISE_CONV_2D", ("DepthwiseConv2DOptions", options), "depthwise_conv_2d", attributes, [x, f, bias], [y], runtime_of(elem))


def transpose_conv(rng, elem):
    h, w, cin, cout = rng.integers(1, 6), rng.integers(1, 6), int(rng.choice([1, 3, 8])), int(rng.choice([1, 3, 17]))
    kh, kw, stride = rng.integers(1, 4), rng.integers(1, 4), [int(s) for s in rng.integers(1, 3, 2)]
    valid = rng.random() < 0.5
    size = [(h - 1) * stride[0] + kh, (w - 1) * stride[1] + kw] if valid else [h * stride[0], w * stride[1]]
    x = act(rng, elem, [1, h, w, cin])
    f = weights(rng, "u8" if elem == "u8" else "i8", [cout, kh, kw, cin], cout, 0, elem != "u8" and rng.random() < 0.7)
    bias, y = layer(rng, elem, x, f, [1, *size, cout], kh * kw * cin, cout)
    if bias is not None and elem == "i16" and bias.elem == "i32":
        bias = None
    shape = T("i32", [4], data=np.array([1, *size, cout], np.int32))
    options = dict(padding=int(valid), strideH=stride[0], strideW=stride[1])
    attributes = dict(padding="valid" if valid else "same", stride=str(stride))
    return Case("TRANSPOSE_CONV", ("TransposeConvOptions", options), "transpose_conv", attributes, [shape, f, x] + ([bias] if bias else []),
        [y], runtime_of(elem))


def fully_connected(rng, elem, runtime=None):
    batch, k, n = int(rng.integers(1, 4)), int(rng.choice([1, 2, 7, 16, 33, 64])), int(rng.choice([1, 5, 16, 20]))
    x = act(rng, elem, [batch, k])
    per = elem != "u8" and rng.random() < 0.4
    felem = "u8" if elem == "u8" else "i4" if elem == "i8" and not per and rng.random() < 0.2 and runtime is None else "i8"
    f = weights(rng, felem, [n, k], n, 0, per and n > 1)
    bias, y = layer(rng, elem, x, f, [batch, n], k, n)
    if bias is not None and len(f.scale) == 1:
        bias.scale = [np.float32(x.scale[0]) * f.scale[0]]
    a, name = activation(rng)
    options = dict(fusedActivationFunction=a)
    attributes = dict(activation=name)
    if elem == "i16" and bias is None:
        options["quantizedBiasType"] = 2
        attributes["quantized_bias_type"] = "i32"
    return Case("FULLY_CONNECTED", ("FullyConnectedOptions", options), "fully_connected", attributes, [x, f, bias], [y], runtime or runtime_of(elem))


def long_fully_connected(rng, elem):
    """A row so long that 32 bits do not hold the sums of a 16x8 layer."""
    k, n = 700, 2
    x, f = act(rng, elem, [1, k]), T("i8", [n, k], scale(rng), data=rng.choice(np.array([-127, 127], np.int8), [n, k]))
    bias = T("i64" if elem == "i16" else "i32", [n], np.float32(x.scale[0]) * f.scale[0], data=np.zeros(n, np.int64 if elem == "i16" else np.int32))
    y = T(elem, [1, n], float(x.scale[0]) * float(f.scale[0]) * (32768 * 127 * 30 / 32767 if elem == "i16" else 128 * 40), 0)
    return Case("FULLY_CONNECTED", ("FullyConnectedOptions", {}), "fully_connected", {}, [x, f, bias], [y])


def batch_matmul(rng, elem):
    b, m, k, n = int(rng.integers(1, 3)), *[int(v) for v in rng.integers(1, 7, 3)]
    adj_x, adj_y = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
    left = [b, k, m] if adj_x else [b, m, k]
    right = [n, k] if adj_y else [k, n]
    right = [b, *right] if rng.random() < 0.7 else right
    x, w = act(rng, elem, left), act(rng, elem, right)
    top = 32767 if elem == "i16" else 127
    y = T(elem, [b, m, n], float(x.scale[0]) * float(w.scale[0]) * top * np.sqrt(k) / 3, zero(rng, elem))
    options = dict(adjX=adj_x, adjY=adj_y)
    attributes = dict(adj_x=str(adj_x).lower(), adj_y=str(adj_y).lower())
    return Case("BATCH_MATMUL", ("BatchMatMulOptions", options), "batch_matmul", attributes, [x, w], [y], runtime_of(elem))


SHAPES = [([2, 3, 4], [2, 3, 4]), ([1, 4, 4, 3], [3]), ([5, 1], [1, 7]), ([2, 3], []), ([1, 2, 1, 5], [2, 2, 3, 1]), ([40], [40])]


def broadcast_pair(rng):
    a, b = SHAPES[rng.integers(len(SHAPES))]
    if rng.random() < 0.3:
        a, b = b, a
    return a, b, list(np.broadcast_shapes(tuple(a), tuple(b)))


def binary(builtin, options, mnemonic, span, fused=True, extra=None):
    def make(rng, elem):
        a, b, shape = broadcast_pair(rng)
        x, z = act(rng, elem, a), act(rng, elem, b)
        y = T(elem, shape, span(rng, float(x.scale[0]), float(z.scale[0]), 32767 if elem == "i16" else 127), zero(rng, elem))
        fields, attributes = {}, {}
        if fused:
            code, name = activation(rng)
            fields["fusedActivationFunction"], attributes["activation"] = code, name
        if extra:
            fields |= extra[0]
            attributes |= extra[1]
        return Case(builtin, (options, fields), mnemonic, attributes, [x, z], [y], runtime_of(elem, not (builtin == "DIV" and elem == "i16")))

    return make


NOT_POT = ({"potScaleInt16": False}, {"pot_scale_int16": "false"})
add = binary("ADD", "AddOptions", "add", lambda r, a, b, top: max(a, b) * r.choice([0.7, 1, 2, 5]), extra=NOT_POT)
sub = binary("SUB", "SubOptions", "sub", lambda r, a, b, top: max(a, b) * r.choice([0.7, 1, 2, 5]), extra=NOT_POT)
mul = binary("MUL", "MulOptions", "mul", lambda r, a, b, top: a * b * top * r.choice([0.3, 1]))
div = binary("DIV", "DivOptions", "div", lambda r, a, b, top: a / b * r.choice([0.05, 0.5]))
squared_difference = binary("SQUARED_DIFFERENCE", "SquaredDifferenceOptions", "squared_difference", lambda r, a, b, top: max(a,
    b) ** 2 * top * r.choice([0.5, 2]), fused=False)


def nonzero_div(rng, elem):
    case = div(rng, elem)
    z = case.operands[1]
    dtype = STORAGE[elem]
    data = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, z.shape, dtype, endpoint=True)
    z.data = np.where(data == z.zero, dtype(z.zero + 1 if z.zero < np.iinfo(dtype).max else z.zero - 1), data).astype(dtype)
    return case


def extreme(builtin, mnemonic):
    def make(rng, elem):
        a, b, shape = broadcast_pair(rng)
        x = act(rng, elem, a)
        z, y = T(elem, b, x.scale, x.zero), T(elem, shape, x.scale, x.zero)
        return Case(builtin, ("MaximumMinimumOptions", {}), mnemonic, {}, [x, z], [y], runtime_of(elem))

    return make


def compare(builtin, options, mnemonic):
    def make(rng, elem):
        a, b, shape = broadcast_pair(rng)
        x, z = act(rng, elem, a), act(rng, elem, b)
        if rng.random() < 0.5:
            z.scale, z.zero = x.scale, x.zero
        return Case(builtin, (options, {}), mnemonic, {}, [x, z], [T("bool", shape)], runtime_of(elem))

    return make


def prelu(rng, elem):
    x = act(rng, elem, [1, 3, 4, 5])
    alpha_elem = "u8" if elem == "u8" else "i8"
    alpha = T(alpha_elem, [[1, 1, 5], [1, 1, 1, 1]][rng.integers(2)] if elem == "u8" else [1, 1, 1, 5], scale(rng, -3, -2), zero(rng, alpha_elem))
    alpha.data = rng.integers(*((0, 256) if elem == "u8" else (-128, 128)), alpha.shape).astype(STORAGE[alpha_elem])
    y = T(elem, x.shape, float(x.scale[0]) * rng.choice([0.7, 1, 2]), zero(rng, elem))
    return Case("PRELU", None, "prelu", {}, [x, alpha], [y], runtime_of(elem))


def unary(builtin, mnemonic, ratio=None, output=None, here=True, options=None, attributes=None, source=None, low=None):
    def make(rng, elem):
        x = source(rng, elem) if source else act(rng, elem, [3, 50])
        if output:
            s, z = output[elem]
            y = T(elem, x.shape, s, z)
        else:
            y = T(elem, x.shape, float(x.scale[0]) * (ratio or 1) * rng.choice([0.6, 1, 2.3]), zero(rng, elem))
        if low:
            low(rng, elem, x, y)
        o, a = options(rng) if options else (None, {})
        return Case(builtin, o, mnemonic, a, [x], [y], runtime_of(elem, here))

    return make


FIXED = {"i8": (1 / 256, -128), "u8": (1 / 256, 0), "i16": (1 / 32768, 0)}
FIXED_TANH = {"i8": (1 / 128, 0), "u8": (1 / 128, 128), "i16": (1 / 32768, 0)}


def sigmoid_input(rng, elem):
    if elem == "i16":
        return T(elem, [3, 50], rng.choice([2.0**-12, 2.0**-11, float(scale(rng, -5, -3))]), 0)
    return T(elem, [3, 50], scale(rng, -2.5, -0.7), zero(rng, elem))


def leaky_options(rng):
    alpha = np.float32(rng.choice([0.1, 0.01, 0.3, -0.2, 1.5]))
    return ("LeakyReluOptions", {"alpha": float(alpha)}), {"alpha": str(alpha)}


def gelu_options(rng):
    approximate = bool(rng.random() < 0.5)
    return ("GeluOptions", {"approximate": approximate}), {"approximate": str(approximate).lower()}


def same_scale(rng, elem, x, y):
    y.scale, y.zero = x.scale, x.zero


def hard_swish_scale(rng, elem, x, y):
    y.scale = [np.float32(float(x.scale[0]) * rng.uniform(0.3, 2))]


def positive(rng, elem, x, y):
    """The input's zero point at its smallest value, so that all reals are positive."""
    x.zero = {"i8": -128, "u8": 0, "i16": 0}[elem]
    if elem == "i16":
        x.data = None


def exp_scales(rng, elem, x, y):
    x.scale = [scale(rng, -2.5, -1.5)] if elem != "i16" else [scale(rng, -5, -4)]
    y.scale = [np.float32(np.exp(float(x.scale[0]) * (255 if elem != "i16" else 32767) / 2) / (128 if elem != "i16" else 32768))]


def log_scales(rng, elem, x, y):
    y.scale = [np.float32(rng.uniform(0.02, 0.08) if elem != "i16" else 1e-3)]


def rsqrt_scales(rng, elem, x, y):
    x.zero = -128
    y.scale = [np.float32(1 / np.sqrt(float(x.scale[0])) / rng.choice([50, 127, 250]))]


def sqrt_scales(rng, elem, x, y):
    x.zero = {"i8": -128, "i16": 0}[elem]
    y.scale = [np.float32(np.sqrt(float(x.scale[0]) * (255 if elem == "i8" else 32767)) / (200 if elem == "i8" else 32767))]


def softmax(rng, elem):
    depth = int(rng.choice([1, 2, 10, 33]))
    x = T(elem, [4, depth], scale(rng, -2, 0) if elem != "i16" else scale(rng, -4.5, -2), zero(rng, elem))
    beta = np.float32(rng.choice([1.0, 1.0, 0.5, 2.0]))
    return Case("SOFTMAX", ("SoftmaxOptions", {"beta": float(beta)}), "softmax", {"beta": str(beta)}, [x], [T(elem, x.shape, *FIXED[elem])], runtime_of(elem))


def softmax_8_to_16(rng, elem):
    x = T("i8", [4, 10], scale(rng, -2, 0), zero(rng, "i8"))
    return Case("SOFTMAX", ("SoftmaxOptions", {"beta": 1.0}), "softmax", {"beta": "1.0"}, [x], [T("i16", x.shape, 1 / 65536, -32768)])


def log_softmax(rng, elem):
    x = T(elem, [4, int(rng.choice([2, 10, 33]))], scale(rng, -2, 0), zero(rng, elem))
    return Case("LOG_SOFTMAX", None, "log_softmax", {}, [x], [T(elem, x.shape, 16 / 256, 255 if elem == "u8" else 127)], runtime_of(elem))


def l2_normalization(rng, elem):
    x = act(rng, elem, [4, int(rng.choice([2, 10, 33]))])
    return Case("L2_NORMALIZATION", ("L2NormOptions", {}), "l2_normalization", {}, [x], [T(elem, x.shape, 1 / 128,
        128 if elem == "u8" else 0)], runtime_of(elem))


def pool(builtin, mnemonic):
    def make(rng, elem):
        h, w, c = (int(v) for v in rng.integers(1, 9, 3))
        fh, fw = (int(v) for v in rng.integers(1, 4, 2))
        stride = [int(v) for v in rng.integers(1, 3, 2)]
        valid = rng.random() < 0.5 and h >= fh and w >= fw
        size = [(h - fh) // stride[0] + 1, (w - fw) // stride[1] + 1] if valid else [same(h, stride[0]), same(w, stride[1])]
        x = act(rng, elem, [2, h, w, c])
        a, name = activation(rng)
        options = dict(padding=int(valid), strideH=stride[0], strideW=stride[1], filterHeight=fh, filterWidth=fw, fusedActivationFunction=a)
        attributes = dict(padding="valid" if valid else "same", stride=str(stride), filter=str([fh, fw]), activation=name)
        return Case(builtin, ("Pool2DOptions", options), mnemonic, attributes, [x], [T(elem, [2, *size, c], x.scale, x.zero)], runtime_of(elem))

    return make


def reduction(builtin, mnemonic, here=lambda elem: True):
    def make(rng, elem):
        shape = [int(v) for v in rng.integers(1, 6, rng.integers(1, 5))]
        axes = sorted(rng.choice(len(shape), rng.integers(1, len(shape) + 1), replace=False).tolist())
        keep = bool(rng.random() < 0.5)
        out = [1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes]
        count = int(np.prod([shape[i] for i in axes]))
        x = act(rng, elem, shape)
        if mnemonic in ("reduce_max", "reduce_min"):
            y = T(elem, out, x.scale, x.zero)
        elif mnemonic == "reduce_prod":
            top = 32767 if elem == "i16" else 127
            x.scale = [np.float32(rng.uniform(0.5, 1.5) / top)]
            y = T(elem, out, rng.uniform(0.3, 1.5) / top, zero(rng, elem))
        else:
            grow = np.sqrt(count) if mnemonic == "sum" else 1
            y = T(elem, out, float(x.scale[0]) * grow * rng.choice([0.5, 1, 2]), zero(rng, elem))
        given = [a - len(shape) if rng.random() < 0.3 else a for a in axes]
        axis = T("i32", [len(axes)], data=np.array(given, np.int32))
        return Case(builtin, ("ReducerOptions", {"keepDims": keep}), mnemonic, {"keep_dims": str(keep).lower()}, [x, axis], [y], runtime_of(elem, here(elem)))

    return make


def arg(builtin, options, mnemonic):
    def make(rng, elem):
        x = act(rng, elem, [2, 5, 3])
        axis = int(rng.integers(-1, 3))
        out = [d for i, d in enumerate(x.shape) if i != axis % 3]
        return Case(builtin, (options, {"outputType": 2}), mnemonic, {}, [x, T("i32", [], data=np.array(axis, np.int32))], [T("i32", out)], runtime_of(elem))

    return make


def resize(builtin, options, mnemonic):
    def make(rng, elem):
        h, w, c, oh, ow = (int(v) for v in rng.integers(1, 9, 5))
        style = rng.integers(3)
        align, half = style == 1, style == 2
        x = act(rng, elem, [1, h, w, c])
        size = T("i32", [2], data=np.array([oh, ow], np.int32))
        fields = dict(alignCorners=bool(align), halfPixelCenters=bool(half))
        attributes = dict(align_corners=str(bool(align)).lower(), half_pixel_centers=str(bool(half)).lower())
        y = T(elem, [1, oh, ow, c], x.scale, x.zero)
        return Case(builtin, (options, fields), mnemonic, attributes, [x, size], [y], runtime_of(elem, elem == "i8"))

    return make


def quantize(rng, elem):
    x = T("f32", [3, 40])
    return Case("QUANTIZE", ("QuantizeOptions", {}), "quantize", {}, [x], [act(rng, elem, x.shape)], runtime_of(elem))


def requantize(to, here):
    def make(rng, elem):
        x = act(rng, elem, [3, 40]) if elem != "i32" else T("i32", [3, 40], scale(rng, -6, -4), 0)
        y = T(to, x.shape, float(x.scale[0]) * rng.choice([0.3, 1, 1, 2.7, 900 if elem == "i32" else 1]), zero(rng, to) if to != "i32" else 0)
        if to == "u8" and elem == "i8" and rng.random() < 0.5:
            y.scale, y.zero = x.scale, x.zero + 128
        if to == "i8" and elem == "u8" and rng.random() < 0.5:
            y.scale, y.zero = x.scale, x.zero - 128
        return Case("QUANTIZE", ("QuantizeOptions", {}), "quantize", {}, [x], [y], "tflm" if here else "litert")

    return make


def dequantize(rng, elem):
    x = act(rng, elem, [3, 40])
    return Case("DEQUANTIZE", ("DequantizeOptions", {}), "dequantize", {}, [x], [T("f32", x.shape)])


def concatenation(rng, elem):
    x, z = act(rng, elem, [2, 3, 4]), act(rng, elem, [2, 5, 4])
    y = T(elem, [2, 8, 4], x.scale, x.zero)
    if elem == "i8":
        z.scale, z.zero = x.scale, x.zero
    elif rng.random() < 0.5:
        y = act(rng, elem, [2, 8, 4])
    return Case("CONCATENATION", ("ConcatenationOptions", {"axis": 1}), "concatenation", {"axis": 1}, [x, z], [y], runtime_of(elem))


def svdf(rng, elem):
    batch, features, units, rank, memory = (int(v) for v in (rng.integers(1, 3), rng.integers(1, 9), rng.integers(1, 5), rng.integers(1, 3),
        rng.integers(2, 9)))
    state_elem = "i16" if rng.random() < 0.7 else "i8"
    filters = units * rank
    x = act(rng, "i8", [batch, features])
    wf = T("i8", [filters, features], scale(rng, -3, -2), data=rng.integers(-127, 128, [filters, features]).astype(np.int8))
    top = 32767 if state_elem == "i16" else 127
    state = T(state_elem, [batch, filters * memory], float(x.scale[0]) * float(wf.scale[0]) * 5000 * np.sqrt(features) / top,
        0 if state_elem == "i16" else rng.integers(-20, 20), variable=True)
    wt_high = 512 if state_elem == "i16" else 127
    wt = T(state_elem, [filters, memory], scale(rng, -4, -3), data=rng.integers(-wt_high, wt_high, [filters, memory]).astype(STORAGE[state_elem]))
    bias_scale = np.float32(state.scale[0]) * wt.scale[0]
    bias = T("i32", [units], bias_scale, data=(rng.standard_normal(units) * top * wt_high / 4).astype(np.int32))
    y = T("i8", [batch, units], float(bias_scale) * top * wt_high / 3 * np.sqrt(memory * rank) / 127, zero(rng, "i8"))
    return Case("SVDF", ("SVDFOptions", {"rank": rank, "fusedActivationFunction": 1}), "svdf", {"rank": rank, "activation": "relu"}, [x, wf,
        wt, bias, state], [y])


def lstm(rng, elem):
    batch, time, features, state = (int(v) for v in (rng.integers(1, 3), rng.integers(1, 6), rng.integers(1, 9), rng.integers(1, 9)))
    major = bool(rng.random() < 0.4)
    x = T(elem, [time, batch, features] if major else [batch, time, features], 1 / 32 if elem == "i8" else 4 / 32768, zero(rng, elem))
    w = [T("i8", [state, features], scale(rng, -3, -2), data=rng.integers(-127, 128, [state, features]).astype(np.int8)) for _ in range(4)]
    r = [T("i8", [state, state], scale(rng, -3, -2), data=rng.integers(-127, 128, [state, state]).astype(np.int8)) for _ in range(4)]
    wide = elem == "i16"
    b = [T("i64" if wide else "i32", [state], np.float32(x.scale[0]) * v.scale[0],
        data=(rng.standard_normal(state) / (float(x.scale[0]) * float(v.scale[0]))).astype(np.int64 if wide else np.int32)) for v in w]
    hidden = T(elem, [batch, state], 1 / 128 if elem == "i8" else 1 / 32768, zero(rng, elem) // 4, variable=True)
    cell = T("i16", [batch, state], 2.0 ** -int(rng.integers(8, 15)), 0, variable=True)
    y = T(elem, [*x.shape[:2], state], hidden.scale, hidden.zero)
    clip = float(rng.choice([0.0, 1.0, 10.0]))
    options = dict(fusedActivationFunction=4, cellClip=clip, projClip=0.0, timeMajor=major)
    attributes = dict(activation="tanh", cell_clip=str(np.float32(clip)), time_major=str(major).lower())
    operands = [x, *w, *r, None, None, None, *b, None, None, hidden, cell, None, None, None, None]
    return Case("UNIDIRECTIONAL_SEQUENCE_LSTM", ("UnidirectionalSequenceLSTMOptions", options), "unidirectional_sequence_lstm", attributes, operands, [y])


ALL, BYTES, SIGNED = ("i8", "u8", "i16"), ("i8", "u8"), ("i8", "i16")
KINDS = {
    "conv_2d": (conv_2d, ALL),
    "depthwise_conv_2d": (depthwise_conv_2d, ALL),
    "transpose_conv": (transpose_conv, ALL),
    "fully_connected": (fully_connected, ALL),
    "fully_connected_litert": (lambda rng, elem: fully_connected(rng, elem, "litert"), ("i8",)),
    "long_fully_connected": (long_fully_connected, SIGNED),
    "batch_matmul": (batch_matmul, SIGNED),
    "add": (add, ALL),
    "sub": (sub, ALL),
    "mul": (mul, ALL),
    "div": (nonzero_div, BYTES),
    "squared_difference": (squared_difference, SIGNED),
    "maximum": (extreme("MAXIMUM", "maximum"), ALL),
    "minimum": (extreme("MINIMUM", "minimum"), ALL),
    "equal": (compare("EQUAL", "EqualOptions", "equal"), BYTES),
    "not_equal": (compare("NOT_EQUAL", "NotEqualOptions", "not_equal"), BYTES),
    "greater": (compare("GREATER", "GreaterOptions", "greater"), BYTES),
    "greater_equal": (compare("GREATER_EQUAL", "GreaterEqualOptions", "greater_equal"), BYTES),
    "less": (compare("LESS", "LessOptions", "less"), BYTES),
    "less_equal": (compare("LESS_EQUAL", "LessEqualOptions", "less_equal"), BYTES),
    "prelu": (prelu, ALL),
    "relu": (unary("RELU", "relu"), ALL),
    "relu6": (unary("RELU6", "relu6", low=lambda r, e, x, y: same_scale(r, e, x, y) if e != "u8" else None), ALL),
    "relu_n1_to_1": (unary("RELU_N1_TO_1", "relu_n1_to_1", here=False), BYTES),
    "relu_0_to_1": (unary("RELU_0_TO_1", "relu_0_to_1", here=False), BYTES),
    "leaky_relu": (unary("LEAKY_RELU", "leaky_relu", options=leaky_options), ALL),
    "hard_swish": (unary("HARD_SWISH", "hard_swish", low=hard_swish_scale), BYTES),
    "logistic": (unary("LOGISTIC", "logistic", output=FIXED, source=sigmoid_input), ALL),
    "tanh": (unary("TANH", "tanh", output=FIXED_TANH, source=sigmoid_input), ALL),
    "logistic_litert": (unary("LOGISTIC", "logistic", output=FIXED, source=sigmoid_input, here=False), ALL),
    "tanh_litert": (unary("TANH", "tanh", output=FIXED_TANH, source=sigmoid_input, here=False), ALL),
    "elu": (unary("ELU", "elu"), ("i8",)),
    "gelu": (unary("GELU", "gelu", here=False, options=gelu_options), ALL),
    "exp": (unary("EXP", "exp", here=False, low=exp_scales), SIGNED),
    "log": (unary("LOG", "log", here=False, low=log_scales), SIGNED),
    "sqrt": (unary("SQRT", "sqrt", here=False, low=sqrt_scales), ("i8",)),
    "rsqrt": (unary("RSQRT", "rsqrt", low=rsqrt_scales), ("i8",)),
    "abs": (unary("ABS", "abs"), SIGNED),
    "neg": (unary("NEG", "neg", here=False, low=same_scale), SIGNED),
    "softmax": (softmax, ALL),
    "softmax_8_to_16": (softmax_8_to_16, ("i8",)),
    "log_softmax": (log_softmax, BYTES),
    "l2_normalization": (l2_normalization, BYTES),
    "average_pool_2d": (pool("AVERAGE_POOL_2D", "average_pool_2d"), ALL),
    "max_pool_2d": (pool("MAX_POOL_2D", "max_pool_2d"), ALL),
    "mean": (reduction("MEAN", "mean"), ALL),
    "sum": (reduction("SUM", "sum"), ALL),
    "reduce_max": (reduction("REDUCE_MAX", "reduce_max", lambda e: e == "i8"), ALL),
    "reduce_min": (reduction("REDUCE_MIN", "reduce_min", lambda e: e == "i8"), ALL),
    "reduce_prod": (reduction("REDUCE_PROD", "reduce_prod", lambda e: False), SIGNED),
    "arg_max": (arg("ARG_MAX", "ArgMaxOptions", "arg_max"), BYTES),
    "arg_min": (arg("ARG_MIN", "ArgMinOptions", "arg_min"), BYTES),
    "resize_bilinear": (resize("RESIZE_BILINEAR", "ResizeBilinearOptions", "resize_bilinear"), ALL),
    "resize_nearest_neighbor": (resize("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions", "resize_nearest_neighbor"), ALL),
    "quantize": (quantize, ALL),
    "requantize_to_i8": (requantize("i8", True), ("i8", "u8", "i16", "i32")),
    "requantize_to_u8": (requantize("u8", True), ("i8",)),
    "requantize_u8_to_u8": (requantize("u8", False), ("u8",)),
    "requantize_to_i16": (requantize("i16", True), ("i8", "i16", "i32")),
    "requantize_to_i32": (requantize("i32", True), ("i8", "i16")),
    "dequantize": (dequantize, ALL),
    "concatenation": (concatenation, ALL),
    "svdf": (svdf, ("i8",)),
    "unidirectional_sequence_lstm": (lstm, SIGNED),
}


def main(directory, cases, kinds):
    os.makedirs(directory, exist_ok=True)
    for kind in kinds or KINDS:
        make, elems = KINDS[kind]
        counts = {}
        with open(os.path.join(directory, kind + ".golden"), "w") as out:
            for number, elem in enumerate(elems):
                written = 0
                for attempt in range(3 * cases):
                    rng = np.random.default_rng([len(kind), *map(ord, kind), number, attempt])
                    if written < cases and write(make(rng, elem), rng, out, 2):
                        written += 1
                counts[elem] = written
        print(kind, counts, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5, sys.argv[3:])
