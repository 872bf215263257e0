"""OpenVINO with f32 weights and arithmetic. A separate process exports the model to a file with torch.export, so that the measured
process contains neither PyTorch nor a second copy of the weights."""

import multiprocessing
import os
import shutil
import tempfile

import openvino

import worker

CORE = openvino.Core()


def export(cell, folder):
    import torch

    import models

    module = models.build(cell["module"], cell["family"])
    given = models.inputs(cell["module"], cell["family"], cell["side"], cell["batch"])
    with torch.no_grad():
        program = torch.export.export(module, given)
    model = openvino.convert_model(program)
    model.reshape({place: list(value.shape) for place, value in zip(model.inputs, given)})  # static shapes, as exported
    openvino.save_model(model, f"{folder}/model.xml", compress_to_fp16=False)


def load(cell):
    folder = tempfile.mkdtemp(prefix="openvino-", dir=os.environ.get("PEERS_TMP"))
    try:
        process = multiprocessing.get_context("spawn").Process(target=export, args=(cell, folder))
        process.start()
        process.join()
        if process.exitcode != 0:
            raise SystemExit("The export of the model failed")
        compiled = CORE.compile_model(
            f"{folder}/model.xml",
            "CPU",
            {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": cell["threads"], "PERFORMANCE_HINT": "LATENCY"},
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    request = compiled.create_infer_request()
    for tensor in request.input_tensors:
        tensor.data[:] = 0.5

    def run():
        request.infer()

    return run


if __name__ == "__main__":
    worker.serve(load)
