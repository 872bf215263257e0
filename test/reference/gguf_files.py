"""Writes test/fixtures/gguf: files of Python's gguf 0.19, which Safelight has to read.

    venv/bin/python test/reference/gguf_files.py

`types.gguf` has two rows of 256 random weights in every quantized type, each with the values that gguf dequantizes
them to (`NAME.values`, f32). `metadata.gguf` has a value of every type of metadata, a name of 84 bytes, and tensors
of one to four dimensions.
"""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

OUT = Path(__file__).parent.parent / "fixtures" / "gguf"
ROWS, COLUMNS = 2, 256
# Without a dequantization in gguf: used only inside matrix products, never in files.
LEFT_OUT = {Type.Q8_1, Type.Q8_K}


def random_blocks(kind: Type, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random bytes; each block is sampled again until its values are ordinary numbers."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    rows = np.zeros((ROWS, COLUMNS // block * size), np.uint8)
    values = np.zeros((ROWS, COLUMNS), np.float32)
    for row in range(ROWS):
        for i in range(COLUMNS // block):
            while True:
                data = rng.integers(0, 256, size, np.uint8)
                with np.errstate(all="ignore"):
                    out = gguf.quants.dequantize(data.reshape(1, size), kind)
                if np.isfinite(out).all() and 1e-4 < np.abs(out).max() < 1e4:
                    break
            rows[row, i * size : (i + 1) * size] = data
            values[row, i * block : (i + 1) * block] = out
    return rows, values


def write_types() -> None:
    rng = np.random.default_rng(4)
    writer = gguf.GGUFWriter(OUT / "types.gguf", "sd1")
    for kind, (block, _) in gguf.GGML_QUANT_SIZES.items():
        if block == 1 or kind in LEFT_OUT:
            continue
        try:
            rows, values = random_blocks(kind, rng)
        except NotImplementedError:
            print("no dequantization of", kind.name)
            continue
        writer.add_tensor(kind.name, rows, raw_dtype=kind)
        writer.add_tensor(f"{kind.name}.values", values)
    finish(writer)


def write_metadata() -> None:
    writer = gguf.GGUFWriter(OUT / "metadata.gguf", "test")
    writer.add_uint8("a.uint8", 200)
    writer.add_int8("a.int8", -100)
    writer.add_uint16("a.uint16", 60_000)
    writer.add_int16("a.int16", -30_000)
    writer.add_uint32("a.uint32", 4_000_000_000)
    writer.add_int32("a.int32", -2_000_000_000)
    writer.add_uint64("a.uint64", 2**63 + 1)
    writer.add_int64("a.int64", -(2**62))
    writer.add_float32("a.float32", 0.5)
    writer.add_float64("a.float64", 1e300)
    writer.add_bool("a.bool", True)
    writer.add_string("a.string", "κόσμε\n")
    writer.add_array("a.strings", ["one", "", "three"])
    writer.add_array("a.numbers", [1, 2, 3, 4])
    writer.add_custom_alignment(64)
    writer.add_tensor("one", np.arange(5, dtype=np.float32))
    writer.add_tensor("two", np.arange(6, dtype=np.float16).reshape(2, 3))
    writer.add_tensor("three", np.arange(24, dtype=np.int32).reshape(2, 3, 4))
    writer.add_tensor("n" * 84, np.arange(16, dtype=np.float64).reshape(2, 2, 2, 2))
    finish(writer)


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    write_types()
    write_metadata()
