"""TensorFlow's quantizer, on the same float .tflite and the same calibration data as Octet. Imports no other peer."""

import data


def tf_quantize(job):
    """model, data, scale, out -> TensorFlow's int8 file with integer input and output.

    TensorFlow's public converter starts from a Keras or saved model. From a float .tflite the same two steps that it
    ends with are taken: its calibrator, then its quantizer.
    """
    from tensorflow.lite.python import convert
    from tensorflow.lite.python.optimize import calibrator
    from tensorflow.python.framework import dtypes

    with open(job["model"], "rb") as file:
        model = file.read()
    x, _ = data.load(job["data"], job.get("scale"))
    calibrated = calibrator.Calibrator(model).calibrate(lambda: ([x[i : i + 1]] for i in range(len(x))))
    result = convert.mlir_quantize(
        calibrated,
        input_data_type=dtypes.int8,
        output_data_type=dtypes.int8,
    )
    with open(job["out"], "wb") as file:
        file.write(result)
    return {"bytes": len(result)}
