"""diffusers on PyTorch, f32."""

import time

import torch

import models
import worker


def load(cell):
    torch.set_num_threads(cell["threads"])
    if cell["module"] == "matmul":
        return matmul
    module = models.build(cell["module"], cell["family"])
    given = models.inputs(cell["module"], cell["family"], cell["side"], cell["batch"])

    def run():
        with torch.inference_mode():
            module(*given)

    return run


def matmul(n=3072):
    """Returns the seconds of the product of two n x n matrices, best of five, as the peak of the machine."""
    a, b = torch.randn(n, n), torch.randn(n, n)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return best


worker.serve(load)
