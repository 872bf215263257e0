"""Writes test/fixtures/sampling/{randn,brownian}.json: numbers of PyTorch's generators and torchsde's Brownian tree.

Run: /path/to/venv/bin/python test/reference/sampling_noise.py   (torch, numpy, torchsde as pinned in
requirements.txt)
"""

import json
import pathlib

import numpy as np
import torch
import torchsde
from torchsde._brownian import brownian_interval

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "sampling"
torch.set_grad_enabled(False)


class Philox:
    """torch.randn on CUDA as A1111's NV source defines it: Philox 4x32-10 (Salmon et al. 2011), counter (draw, 0, element, 0),
    key = the seed's two words, first Box-Muller number of words 0 and 1; constants f32, arithmetic f64."""

    def __init__(self, seed):
        seed = int(seed) & (2**64 - 1)
        self.key = (seed & 0xFFFFFFFF, seed >> 32)
        self.draw = 0

    def randn(self, shape):
        n = int(np.prod(shape))
        mask = np.uint64(0xFFFFFFFF)
        c = [np.full(n, self.draw, np.uint64), np.zeros(n, np.uint64), np.arange(n, dtype=np.uint64), np.zeros(n, np.uint64)]
        self.draw += 1
        for i in range(10):
            k0 = np.uint64((self.key[0] + i * 0x9E3779B9) & 0xFFFFFFFF)
            k1 = np.uint64((self.key[1] + i * 0xBB67AE85) & 0xFFFFFFFF)
            p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
            c = [(p1 >> np.uint64(32)) ^ c[1] ^ k0, p1 & mask, (p0 >> np.uint64(32)) ^ c[3] ^ k1, p0 & mask]
        unit, circle = float(np.float32(2.3283064e-10)), float(np.float32(2.3283064e-10 * 6.2831855))
        u, v = c[0].astype(np.float64) * unit + unit / 2, c[1].astype(np.float64) * circle + circle / 2
        return torch.from_numpy((np.sqrt(-2 * np.log(u)) * np.sin(v)).astype(np.float32)).reshape(shape)


class Cpu:
    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(int(seed))

    def randn(self, shape):
        return torch.randn(shape, generator=self.generator)


SOURCES = {"cpu": Cpu, "cuda": Philox}


def numbers(tensor):
    """f32 in the shortest decimals that are read back exactly."""
    return [float(str(x)) for x in tensor.reshape(-1).numpy()]


def randn():
    """Samples several times from one generator; of large results only every nth number is stored."""
    seeds = [0, 1, 42, 123456789, 2**31, 2**32 - 1, 2**32 + 5, 2**53 - 1, 2**63 + 12345, 2**64 - 1, -1, -2024]
    chains = [[1, 2, 3, 5, 15], [16, 17, 31], [3, 100, 3, 48, 1, 33], [256, 256], [7, 15, 20, 9]]
    cases = []
    for rng, source in SOURCES.items():
        for i, seed in enumerate(seeds):
            for chain in [chains[i % 5], chains[(i + 2) % 5]]:
                generator = source(seed)
                draws = [{"size": n, "stride": 1, "values": numbers(generator.randn([n]))} for n in chain]
                cases.append({"rng": rng, "seed": str(seed), "draws": draws})
        for seed in [3, 2**40 + 1]:
            generator, draws = source(seed), []
            for n in [4 * 64 * 64, 4 * 65 * 67, 4 * 64 * 64]:
                draws.append({"size": n, "stride": 97, "values": numbers(generator.randn([n])[::97])})
            cases.append({"rng": rng, "seed": str(seed), "draws": draws})
    write("randn.json", cases)


def brownian():
    """Increments over random intervals in random order, and over the intervals of a sampler's steps."""
    random = np.random.default_rng(3)
    sigmas = np.float32(np.geomspace(14.614641, 0.029168, 12))
    steps = [[float(a), float(b)] for a, b in zip(sigmas, sigmas[1:])]
    cases = []
    for rng, source in SOURCES.items():
        brownian_interval._randn = lambda size, dtype, device, seed: source(seed).randn(size).to(dtype)
        for seed, size, low, high in [
            (0, 4, 0.029168, 14.614641),
            (1, 16, 0.029168, 14.614641),
            (42, 24, 0.0, 1.0),
            (2**32 + 7, 5, 0.1, 10.0),
            (2**64 - 1, 17, 0.029168, 4518.749),
            (987654321, 64, 0.5, 0.75),
        ]:
            low, high = float(np.float32(low)), float(np.float32(high))
            queries = [[a, b] for a, b in np.float32(random.uniform(low, high, (24, 2))).tolist()]
            queries += [[high, low], [low, high], [low, (low + high) / 2], [high, high * (1 - 1e-5)]]
            queries += [[a, b] for a, b in steps if low <= b and a <= high]
            # midpoints that are exact ties at six digits, and times outside of the tree, which are clamped
            queries += [[1 / 128, 3 / 128], [0.75, 97 / 128]] if low == 0 else [[high + 1, (low + high) / 2], [low / 2, (low + 2 * high) / 3]]
            tree = torchsde.BrownianTree(low, torch.zeros(size), high, entropy=seed)
            values = []
            for a, b in queries:
                a, b = np.float32(a), np.float32(b)
                t0, t1 = sorted([torch.tensor(a), torch.tensor(b)])
                sign = 1 if a < b else -1
                values.append(numbers(tree(t0, t1) * sign / (torch.tensor(b) - torch.tensor(a)).abs().sqrt()))
            cases.append({"rng": rng, "seed": str(seed), "size": size, "low": low, "high": high,
                          "queries": np.float32(queries).astype(float).tolist(), "values": values})
    write("brownian.json", cases)


def seed_sequence():
    cases = []
    for entropy in [0, 1, 42, 2**32 - 1, 2**32, 2**64 - 1, 2**53 + 1]:
        for key, pool in [((), 24), ((), 4), ((0, 0), 24), ((1, 1), 8), ((16777215, 24), 24), ((2**33 + 5, 34), 24), ((7,), 4)]:
            state = np.random.SeedSequence(entropy=entropy, spawn_key=key, pool_size=pool).generate_state(6)
            cases.append({"entropy": str(entropy), "spawnKey": list(key), "poolSize": pool, "state": state.tolist()})
    write("seed_sequence.json", cases)


def write(name, cases):
    OUT.mkdir(parents=True, exist_ok=True)
    text = "[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n"
    (OUT / name).write_text(text)


if __name__ == "__main__":
    randn()
    brownian()
    seed_sequence()
