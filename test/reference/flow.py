"""Writes test/fixtures/sampling-flow: flow matching's sigmas, and results of samplers on a velocity field that is
known exactly.

    python test/reference/flow.py    (torch, diffusers, k-diffusion, scipy as pinned in requirements.txt; after samplers.py)

schedules.json: diffusers' FlowMatchEulerDiscreteScheduler, its pipelines' mu, and formulas of ComfyUI and
k-diffusion.
cases.json, latents.safetensors: the data are a mixture of two normal distributions around each number of the other
fixture's centers, so that E[x0 | x] has a closed form. The noise is that fixture's table. References run in f64:

- `same`: k-diffusion's samplers, whose slope (x - x0) / sigma is the velocity.
- `lambda`: k-diffusion's SDE samplers on x / (1 - sigma) at sigma / (1 - sigma). There x0 has factor 1, and -log of
that sigma is ComfyUI's log((1 - sigma) / sigma); diffusers' UniPC with use_flow_sigmas.
- `renoise`: ComfyUI's formulas of Euler, DPM2 and DPM++ 2S ancestral for rectified flow; diffusers'
FlowMatchLCMScheduler.
"""

import json
import sys
import types
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from diffusers.pipelines.flux2.pipeline_flux2 import compute_empirical_mu
from diffusers.schedulers import scheduling_flow_match_lcm
from safetensors.numpy import load_file, save_file

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
OUT = FIXTURES / "sampling-flow"
torch.set_grad_enabled(False)
torch.set_default_dtype(torch.float64)


def import_sampling():
    """Imports k_diffusion.sampling alone: the package itself imports dependencies of evaluation and training."""
    package = types.ModuleType("k_diffusion")
    package.__path__ = list(find_spec("k_diffusion").submodule_search_locations)
    utils = types.ModuleType("k_diffusion.utils")
    utils.append_dims = lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)]
    package.utils = utils
    sys.modules.update({"k_diffusion": package, "k_diffusion.utils": utils})
    import k_diffusion.sampling

    return k_diffusion.sampling


K = import_sampling()
f32 = lambda values: [float(str(np.float32(value))) for value in values]

# --- schedules --------------------------------------------------------------------------------------------------------

DYNAMIC = {"use_dynamic_shifting": True}
QWEN = {**DYNAMIC, "max_shift": 0.9, "max_image_seq_len": 8192, "shift_terminal": 0.02}
CONFIGS = [
    ({}, None), ({"shift": 3.0}, None), ({"shift": 6.93}, None), ({"shift": 0.5, "num_train_timesteps": 500}, None),
    (DYNAMIC, 1024), (DYNAMIC, 4096), (DYNAMIC, 9000), ({**DYNAMIC, "time_shift_type": "linear"}, 2048),
    (QWEN, 1024), (QWEN, 4096), ({"shift": 3.0, "shift_terminal": 0.1}, None),
    ({"shift": 3.0, "use_karras_sigmas": True}, None), ({"shift": 3.0, "use_exponential_sigmas": True}, None),
    ({"shift": 3.0, "use_beta_sigmas": True}, None), ({**QWEN, "use_karras_sigmas": True}, 4096),
    ({**QWEN, "use_beta_sigmas": True}, 1024), ({**DYNAMIC, "use_exponential_sigmas": True}, 1024),
]  # fmt: skip
LINE = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")


def scheduler_sigmas():
    found = []
    for config, tokens in CONFIGS:
        scheduler = FlowMatchEulerDiscreteScheduler(**config)
        mu = calculate_shift(tokens, *(scheduler.config[key] for key in LINE)) if tokens else None
        for n in (1, 2, 4, 9, 28):
            if n == 1 and "shift_terminal" in config:
                continue  # 0 / 0 there
            for times in ("even", "trailing"):
                given = {"sigmas": np.linspace(1.0, 1 / n, n)} if times == "trailing" else {"num_inference_steps": n}
                scheduler.set_timesteps(**given, mu=mu)
                case = {"config": config, "times": times, "n": n, "sigmas": f32(scheduler.sigmas.tolist())}
                if n == 9:  # the timestep that the network receives
                    case["timesteps"] = f32(scheduler.timesteps.tolist())
                found.append(case | ({"tokens": tokens, "mu": mu} if tokens else {}))
    return found


def named_sigmas():
    """Named schedules with a shift of 3: ComfyUI's `sgm_uniform` and `ddim_uniform`, k-diffusion's functions of a
    range."""
    shift = lambda t: 3 * t / (1 + 2 * t)
    table = shift(np.arange(1, 1001) / 1000)
    found = []
    for n in (1, 4, 20):
        ends = (n, table[0], table[-1])
        stride = max(1000 // n, 1)
        found += [{"name": name, "n": n, "sigmas": f32([*np.asarray(sigmas).tolist(), 0.0])} for name, sigmas in {
            "sgm_uniform": shift(np.linspace(1, table[0], n + 1)[:-1]),
            "ddim": table[1::stride][::-1],
            "karras": K.get_sigmas_karras(*ends)[:-1],
            "exponential": K.get_sigmas_exponential(*ends)[:-1],
            "polyexponential": K.get_sigmas_polyexponential(*ends)[:-1],
        }.items()]  # fmt: skip
    return found


def schedules():
    mus = [[tokens, steps, compute_empirical_mu(tokens, steps)] for tokens in (256, 1024, 4096, 4300, 4301, 9000)
           for steps in (4, 28, 50)]  # fmt: skip
    return {"scheduler": scheduler_sigmas(), "named": named_sigmas(), "flux2Mu": mus}


# --- samplers ---------------------------------------------------------------------------------------------------------

SHARED = load_file(FIXTURES / "sampling-samplers" / "latents.safetensors")
LATENT, CENTERS, TABLE = (torch.from_numpy(SHARED[name]).double() for name in ("latent", "centers", "noise"))
WEIGHTS, SPREAD, SECOND = (0.7, 0.3), 0.3, -0.5
SHIFT = 3.0
TENSORS, CASES = {}, []


def velocity(x, sigma):
    """E[noise - x0 | x] for data 0.7 N(c, 0.3^2) + 0.3 N(-c / 2, 0.3^2)."""
    sigma = torch.as_tensor(sigma).reshape(-1)[0]
    alpha = 1 - sigma
    variance = (alpha * SPREAD) ** 2 + sigma**2
    means = [CENTERS, CENTERS * SECOND]
    log_weights = torch.stack([np.log(w) - (x - alpha * m) ** 2 / (2 * variance) for w, m in zip(WEIGHTS, means)])
    shares = torch.softmax(log_weights, 0)
    v = 0
    for share, mean in zip(shares, means):
        rest = (x - alpha * mean) / variance
        v = v + share * ((sigma - alpha * SPREAD**2) * rest - mean)  # E[noise] - E[x0]
    return v


def denoise(x, sigma):
    return x - torch.as_tensor(sigma).reshape(-1)[0] * velocity(x, sigma)


def shifted(t, shift=SHIFT):
    return shift * t / (1 + (shift - 1) * t)


def sigmas_of(name, n):
    if name == "simple":
        sigmas = shifted(np.linspace(1, 1 / n, n))
    else:  # uneven, starting below 1
        sigmas = K.get_sigmas_karras(n, 0.02, 0.98)[:-1].numpy()
    return torch.tensor([*np.float32(sigmas).tolist(), 0.0])


def finite(sigmas):
    """The shifted sigma of 0.999 in place of 1, at which lambda is infinite."""
    return torch.cat([sigmas[:1].clamp(max=shifted(0.999)), sigmas[1:]]) if sigmas[0] == 1 else sigmas


class Noise:
    def __init__(self):
        self.draws = 0

    def __call__(self, *_args, **_kwargs):
        self.draws += 1
        return TABLE[(self.draws - 1) % len(TABLE)]


def plain(sampler):
    return lambda x, sigmas, noise, **_: sampler(denoise, x, sigmas, disable=True)


def exploding(sampler, **fixed):
    def run(x, sigmas, noise, **options):
        sigmas = finite(sigmas)
        ratios = sigmas / (1 - sigmas)
        model = lambda z, ratio: denoise(z / (1 + ratio[0]), ratio / (1 + ratio))
        z = x / (1 - sigmas[0])
        return sampler(model, z, ratios, noise_sampler=noise, disable=True, **options, **fixed)

    return run


def ancestral(step, ratios=False):
    """Steps from sigma to sigma_down, then adds noise up to sigma_next; the data's factor is rescaled from one to the
    other."""

    def run(x, sigmas, noise, eta=1.0, s_noise=1.0):
        sigmas = finite(sigmas) if ratios else sigmas
        for sigma, target in zip(sigmas[:-1], sigmas[1:]):
            down = target * (1 + (target / sigma - 1) * eta)
            x = step(x, sigma, down)
            if target > 0 and eta > 0:
                kept = (1 - target) / (1 - down)
                x = kept * x + s_noise * noise() * (target**2 - down**2 * kept**2) ** 0.5
        return x

    return run


def euler(x, sigma, target):
    return x + velocity(x, sigma) * (target - sigma)


def dpm2(x, sigma, target):
    if target == 0:
        return euler(x, sigma, target)
    middle = (0.5 * (sigma.log() + target.log())).exp()
    return x + velocity(euler(x, sigma, middle), middle) * (target - sigma)


def dpmpp_2s(x, sigma, target):
    """DPM++ 2S: x0 at the midpoint in lambda, which x reaches on a straight line."""
    if target == 0:
        return euler(x, sigma, target)
    lambdas = [torch.log((1 - s) / s) for s in (sigma, target)]
    middle = 1 / (1 + torch.exp(sum(lambdas) / 2))
    x0 = denoise(euler(x, sigma, middle), middle)
    return x0 + (x - x0) * target / sigma


def unipc(x, sigmas, noise):
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=SHIFT, solver_order=2, solver_type="bh2"
    )
    scheduler.set_timesteps(len(sigmas) - 1)
    scheduler.sigmas = finite(sigmas)
    scheduler.timesteps = torch.arange(len(sigmas) - 1)
    scheduler.set_begin_index(0)
    for i, sigma in enumerate(scheduler.sigmas[:-1]):
        x = scheduler.step(velocity(x, sigma), i, x).prev_sample
    return x


def lcm(x, sigmas, noise):
    scheduler = scheduling_flow_match_lcm.FlowMatchLCMScheduler()
    scheduler.set_timesteps(sigmas=sigmas[:-1].tolist())
    scheduler.sigmas = sigmas
    scheduler.set_begin_index(0)
    scheduling_flow_match_lcm.randn_tensor = noise
    for sigma, t in zip(sigmas, scheduler.timesteps):
        x = scheduler.step(velocity(x, sigma), t, x).prev_sample.double()
    noise.draws -= 1  # the last is multiplied by 0
    return x


SAMPLERS = {
    "euler": plain(K.sample_euler), "heun": plain(K.sample_heun), "dpm2": plain(K.sample_dpm_2),
    "lms": plain(K.sample_lms), "dpmpp_2m": plain(K.sample_dpmpp_2m),
    "euler_a": ancestral(euler), "dpm2_a": ancestral(dpm2), "dpmpp_2s_a": ancestral(dpmpp_2s, ratios=True),
    "dpmpp_sde": exploding(K.sample_dpmpp_sde), "dpmpp_2m_sde": exploding(K.sample_dpmpp_2m_sde),
    "dpmpp_2m_sde_heun": exploding(K.sample_dpmpp_2m_sde, solver_type="heun"),
    "dpmpp_3m_sde": exploding(K.sample_dpmpp_3m_sde), "unipc": unipc, "lcm": lcm,
}  # fmt: skip
NOISY = ["euler_a", "dpm2_a", "dpmpp_2s_a", "dpmpp_sde", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde"]


def add(name, schedule, n, options=None, start=0):
    sigmas = sigmas_of(schedule, n)[start:]
    noise = Noise()
    x = sigmas[0] * LATENT + ((1 - sigmas[0]) * CENTERS if start else 0)
    named = {{"eta": "eta", "sNoise": "s_noise"}[key]: value for key, value in (options or {}).items()}
    final = SAMPLERS[name](x, sigmas, noise, **named)
    TENSORS[str(len(CASES))] = final.numpy().astype(np.float32)
    assert np.isfinite(TENSORS[str(len(CASES))]).all(), (name, schedule, n)
    case = {"sampler": name, "schedule": schedule, "sigmas": f32(sigmas.tolist()), "draws": noise.draws}
    CASES.append(case | ({"options": options} if options else {}) | ({"start": start} if start else {}))


def main():
    for name in SAMPLERS:
        for schedule, n in (("simple", 1), ("simple", 2), ("simple", 8), ("simple", 20), ("karras", 12)):
            if n > 1 or name not in ("dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde"):  # these fail with a single step
                add(name, schedule, n)
        add(name, "simple", 10, start=4)
    for name in NOISY:
        for options in ({"eta": 0}, {"eta": 0.5}, {"eta": 1, "sNoise": 1.05}):
            add(name, "simple", 8, options)

    OUT.mkdir(parents=True, exist_ok=True)
    lines = {key: ",\n".join(json.dumps(each) for each in values) for key, values in schedules().items()}
    (OUT / "schedules.json").write_text("{" + ",\n".join(f'"{key}": [\n{text}\n]' for key, text in lines.items()) + "}\n")
    (OUT / "cases.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in CASES) + "\n]\n")
    save_file(TENSORS, OUT / "latents.safetensors")
    print(f"{len(CASES)} cases, {sum(path.stat().st_size for path in OUT.iterdir()) / 1024:.0f} KiB")


main()
