"""Writes the fixture of Tensor.cat, stack, repeat, slice and select (lib/tensor): results of torch for ascending
tensors.

Tensor i of a case counts up from 100 * i. Run: python test/reference/tensor_parts.py
"""
import json
import pathlib

import torch


def counting(shape, i=0):
    size = int(torch.tensor(shape, dtype=torch.int64).prod())
    return torch.arange(100 * i, 100 * i + size, dtype=torch.float32).reshape(shape)


def case(result, operation, shapes, arguments):
    return {
        "operation": operation,
        "shapes": shapes,
        "arguments": arguments,
        "shape": list(result.shape),
        "values": [int(v) for v in result.flatten().tolist()],
    }


cases = []
for shapes, dim in [
    ([[2], [3]], 0),
    ([[1, 3, 2], [2, 3, 2]], 0),
    ([[2, 1, 2, 2], [2, 3, 2, 2], [2, 2, 2, 2]], 1),
    ([[2, 3], [2, 1]], -1),
    ([[2, 0, 3], [2, 2, 3]], -2),
    ([[0, 2], [0, 3]], 1),
    ([[2, 2]], 0),
]:
    tensors = [counting(shape, i) for i, shape in enumerate(shapes)]
    cases.append(case(torch.cat(tensors, dim), "cat", shapes, [dim]))
for shape, count, dim in [([], 3, 0), ([2], 2, 1), ([2, 3], 2, 0), ([2, 3], 3, 1), ([2, 3], 2, -1), ([2, 3], 2, -3), ([0, 2], 2, 1), ([1, 2], 1, 0)]:
    tensors = [counting(shape, i) for i in range(count)]
    cases.append(case(torch.stack(tensors, dim), "stack", [shape] * count, [dim]))
for shape, counts in [
    ([3], [2]),
    ([], []),
    ([], [2, 2]),
    ([1, 2, 2], [3, 1, 1]),
    ([2, 3], [2, 2]),
    ([2, 1, 2], [1, 3, 2]),
    ([2], [2, 3]),
    ([2, 2], [2, 1, 1, 2]),
    ([2, 2], [0, 1]),
    ([2, 0], [2, 3]),
]:
    cases.append(case(counting(shape).repeat(*counts) if counts else counting(shape), "repeat", [shape], counts))
for shape, dim, index in [([4], 0, 2), ([2, 3, 2], 0, 1), ([2, 3, 2], 1, 2), ([2, 3, 2], -1, -1), ([1, 3, 2], 1, -2), ([1, 1, 4], 2, 3)]:
    cases.append(case(torch.select(counting(shape), dim, index), "select", [shape], [dim, index]))
for shape, ranges in [
    ([2, 3, 4], [1]),
    ([2, 3, 4], [None, 1, [1, -1]]),
    ([2, 3, 4], [[0, 9], [-2, None]]),
    ([2, 3, 4], [0, [2, 1]]),
    ([5], [[-3, -1]]),
]:
    index = tuple(r if isinstance(r, int) else slice(*(r or [None, None])) for r in ranges)
    cases.append(case(counting(shape)[index], "slice", [shape], ranges))

out = pathlib.Path(__file__).parent.parent / "fixtures" / "tensor" / "parts.json"
out.write_text(json.dumps(cases, separators=(",", ":")))
