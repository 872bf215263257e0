"""diffusers and transformers on PyTorch. PEERS_FORMAT is the number format of weights and inputs, f32 (default) or bf16."""

import os

import torch

import models
import worker

DTYPE = {"f32": torch.float32, "bf16": torch.bfloat16}[os.environ.get("PEERS_FORMAT", "f32")]


def load(cell):
    torch.set_num_threads(cell["threads"])
    module = models.build(cell["module"], cell["family"]).to(DTYPE)
    given = models.inputs(cell["module"], cell["family"], cell["side"], cell["batch"])
    given = [value.to(DTYPE) if value.is_floating_point() else value for value in given]

    def run():
        with torch.inference_mode():
            module(*given)

    return run


worker.serve(load)
