"""OpenVINO on models exported from diffusers. PEERS_FORMAT selects the number format:

f32      f32 weights, and f32 arithmetic by INFERENCE_PRECISION_HINT (default)
default  f32 weights, and no hint: OpenVINO selects the arithmetic for the processor
int8     weights and activations quantized by NNCF after training, and no hint

A separate process exports and quantizes, so that the measured process contains neither PyTorch nor a second copy of the weights.
Exported models are kept in the folder openvino-VERSION of PEERS_TMP: 3.4 GB per cell of SD1's U-Net in f32, 0.9 GB in int8."""

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import openvino

import worker

CORE = openvino.Core()
FORMAT = os.environ.get("PEERS_FORMAT", "f32")
CACHE = Path(os.environ.get("PEERS_TMP", tempfile.gettempdir())) / f"openvino-{openvino.__version__.split('-')[0]}"
SAMPLES = 4  # of NNCF's calibration dataset


def export(cell, to):
    import torch

    import models

    module = models.build(cell["module"], cell["family"])
    given = models.inputs(cell["module"], cell["family"], cell["side"], cell["batch"])
    with torch.no_grad():
        program = torch.export.export(module, given)
    model = openvino.convert_model(program)
    model.reshape({place: list(value.shape) for place, value in zip(model.inputs, given)})  # static shapes, as exported
    openvino.save_model(model, to, compress_to_fp16=False)


def quantize(cell, to):
    import nncf
    import torch

    import models

    torch.manual_seed(1)
    key = [cell[name] for name in ("module", "family", "side", "batch")]
    samples = [[value.numpy() for value in models.inputs(*key)] for _ in range(SAMPLES)]
    kind = None if cell["module"] == "decoder" else nncf.ModelType.TRANSFORMER
    model = nncf.quantize(CORE.read_model(path_of(cell, "f32")), nncf.Dataset(samples), subset_size=SAMPLES, model_type=kind)
    openvino.save_model(model, to, compress_to_fp16=False)


def path_of(cell, number_format):
    return CACHE / f"{cell['module']}-{cell['family']}-{cell['side']}-{cell['batch']}-{number_format}.xml"


def in_process(write, cell, number_format):
    """Runs `write(cell, path)` in a process of its own unless the model exists. A model is renamed to its final name once it is
    complete, the .xml file last, so that an interrupted export is repeated."""
    path = path_of(cell, number_format)
    if path.exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="partial-", dir=CACHE) as folder:
        partial = Path(folder) / path.name
        process = multiprocessing.get_context("spawn").Process(target=write, args=(cell, partial))
        process.start()
        process.join()
        if process.exitcode != 0:
            raise SystemExit(f"{path.name} could not be exported")
        for suffix in (".bin", ".xml"):
            partial.with_suffix(suffix).rename(path.with_suffix(suffix))


def prepare(cell):
    """Returns the path of the cell's model, which is exported first if necessary."""
    stored = "int8" if FORMAT == "int8" else "f32"
    if not path_of(cell, stored).exists():
        in_process(export, cell, "f32")
    if stored == "int8":
        in_process(quantize, cell, "int8")
    return path_of(cell, stored)


def load(cell):
    hint = {"INFERENCE_PRECISION_HINT": "f32"} if FORMAT == "f32" else {}
    options = {"INFERENCE_NUM_THREADS": cell["threads"], "PERFORMANCE_HINT": "LATENCY", **hint}
    compiled = CORE.compile_model(prepare(cell), "CPU", options)
    arithmetic = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    print(f"{FORMAT}: INFERENCE_PRECISION_HINT of the compiled model is {arithmetic}", file=sys.stderr)
    request = compiled.create_infer_request()
    random = np.random.default_rng(1)
    for tensor in request.input_tensors:
        if tensor.data.dtype.kind == "i":
            tensor.data[:] = random.integers(40_000, size=tensor.shape)  # tokens
        else:
            tensor.data[:] = 500 if len(tensor.shape) == 1 else random.standard_normal(tensor.shape)

    def run():
        request.infer()

    return run, {"precision": "int8" if FORMAT == "int8" else arithmetic, "inferencePrecision": arithmetic}


if __name__ == "__main__":
    worker.serve(load)
