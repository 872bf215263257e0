"""Writes test/fixtures/sampling-samplers: results of k-diffusion's samplers and diffusers' schedulers for one
denoiser.

    python test/reference/samplers.py    (torch, diffusers, k-diffusion, scipy as pinned in requirements.txt)

The denoiser is a rational function of x and sigma with a constant for each element, and noise comes in order from a
recorded table, so that both sides compute the same numbers without a generator. References run in f64 (`"dtype":
"f64"`) on sigmas that are f32 numbers, and in f32 once for each of k-diffusion's samplers, which also records the
queries of the Brownian tree.
"""

import json
import math
import sys
import types
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, LCMScheduler, PNDMScheduler, TCDScheduler, UniPCMultistepScheduler
from diffusers.schedulers import scheduling_ddim, scheduling_lcm, scheduling_tcd
from safetensors.numpy import save_file

OUT = Path(__file__).resolve().parents[1] / "fixtures" / "sampling-samplers"
SHAPE = (2, 3, 4, 4)
DRAWS = 24
torch.set_grad_enabled(False)


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
generator = np.random.default_rng(3)
LATENT = generator.standard_normal(SHAPE).astype(np.float32)
CENTERS = (generator.standard_normal(SHAPE) * 0.8).astype(np.float32)
TABLE = generator.standard_normal((DRAWS, *SHAPE)).astype(np.float32)
TENSORS = {"latent": LATENT, "centers": CENTERS, "noise": TABLE}
CASES = []


def denoise(x, sigma):
    """Posterior mean of data N(c, 1), slightly bent."""
    sigma = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1)[0]
    c = torch.from_numpy(CENTERS).to(x.dtype)
    w = 1 / (1 + sigma**2)
    u = (x - c) * w.sqrt()
    return c + (x - c) * w + 0.25 * u / (1 + u**2)


class SeededNoise:
    """A1111's noise on the CPU: each image has its own generator, whose first numbers are the initial noise, and its
    own tree."""

    def __init__(self, x, sigmas, seeds):
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.shape, self.draws, self.times = x.shape[1:], 0, []
        self.next()
        self.brownian = K.BrownianTreeNoiseSampler(x, sigmas[sigmas > 0].min(), sigmas.max(), seed=seeds)

    def next(self, *_args, **_kwargs):
        return torch.stack([torch.randn(self.shape, generator=generator) for generator in self.generators])


class Noise:
    """Replaces every generator; counts its calls and records the sigmas at which a Brownian tree would be queried."""

    def __init__(self, dtype):
        self.dtype, self.draws, self.times = dtype, 0, []

    def next(self, *_args, **_kwargs):
        self.draws += 1
        return torch.from_numpy(TABLE[(self.draws - 1) % DRAWS]).to(self.dtype)

    def brownian(self, sigma, sigma_next):
        self.times.append([float(sigma), float(sigma_next)])
        return self.next()


def alphas_cumprod(zero_snr=False):
    """SD's schedule as LDM computes it; rescaled to zero terminal SNR as A1111 does."""
    alphas = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=np.float64) ** 2).astype(np.float32)
    if zero_snr:
        roots = np.sqrt(alphas)
        alphas = ((roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))) ** 2
        alphas[-1] = 4.8973451890853435e-08
    return torch.from_numpy(alphas)


def sigmas_of(alphas):
    """numpy's square root, which is correctly rounded; torch's vectorized f32 one is not on every machine."""
    return torch.from_numpy(np.asarray(np.sqrt(((1 - alphas) / alphas).numpy())))


SIGMAS = sigmas_of(alphas_cumprod())


def schedule(name, n):
    """f32 sigmas, as samplers receive them."""
    if name == "karras":
        return K.get_sigmas_karras(n, SIGMAS[0].item(), SIGMAS[-1].item())
    t = torch.linspace(999, 0, n)
    low = t.floor().long()
    log = SIGMAS.log()
    return K.append_zero(((1 - (t - low)) * log[low] + (t - low) * log[t.ceil().long()]).exp())


def add(sampler, sigmas, options, states, final, noise, **more):
    """Keeps the final latent, and the earlier ones if `states` is a list."""
    index = str(len(CASES))
    TENSORS[index] = np.stack([s.numpy() for s in (states or []) + [final]]).astype(np.float32)
    assert np.isfinite(TENSORS[index]).all(), (sampler, options)
    case = {"sampler": sampler, "sigmas": [float(str(np.float32(s))) for s in sigmas], "draws": noise.draws, **more}
    CASES.append(case | ({"options": options} if options else {}) | ({"all": True} if states else {}))


# --- k-diffusion ------------------------------------------------------------------------------------------------------

K_SAMPLERS = {
    "euler": K.sample_euler, "euler_a": K.sample_euler_ancestral, "heun": K.sample_heun, "dpm2": K.sample_dpm_2,
    "dpm2_a": K.sample_dpm_2_ancestral, "lms": K.sample_lms, "dpmpp_2s_a": K.sample_dpmpp_2s_ancestral,
    "dpmpp_sde": K.sample_dpmpp_sde, "dpmpp_2m": K.sample_dpmpp_2m, "dpmpp_2m_sde": K.sample_dpmpp_2m_sde,
    "dpmpp_2m_sde_heun": K.sample_dpmpp_2m_sde, "dpmpp_3m_sde": K.sample_dpmpp_3m_sde,
    "dpm_fast": K.sample_dpm_fast, "dpm_adaptive": K.sample_dpm_adaptive,
}  # fmt: skip
BROWNIAN = {"dpmpp_sde", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde"}
NAMES = {"eta": "eta", "sChurn": "s_churn", "sTmin": "s_tmin", "sTmax": "s_tmax", "sNoise": "s_noise"}


def k_diffusion(name, scheduler, n, options=None, dtype=torch.float64, all_steps=False, seeds=None):
    options = options or {}
    sigmas = schedule(scheduler, n).to(dtype)
    torch.set_default_dtype(dtype)
    x = torch.from_numpy(LATENT) * sigmas[0].float()
    noise = SeededNoise(x, sigmas, seeds) if seeds else Noise(dtype)
    kwargs = {NAMES[key]: value for key, value in options.items()} | {"disable": True}
    steps = []

    def callback(info):
        if name == "dpm_adaptive":
            if info["n_accept"] > len(steps):
                steps.append(info["x"])
        elif info["i"] > 0:
            steps.append(info["x"])

    if name in BROWNIAN:
        kwargs["noise_sampler"] = noise.brownian
    if name == "dpmpp_2m_sde_heun":
        kwargs["solver_type"] = "heun"
    if name == "dpm_fast":
        kwargs["n"] = n
    span = (sigmas[-2].item(), sigmas[0].item()) if name in ("dpm_fast", "dpm_adaptive") else (sigmas,)
    randn_like, torch.randn_like = torch.randn_like, noise.next
    final = K_SAMPLERS[name](denoise, x.to(dtype), *span, callback=callback, **kwargs)
    torch.randn_like = randn_like
    torch.set_default_dtype(torch.float32)
    more = ({"dtype": "f32"} if dtype == torch.float32 else {}) | ({"seeds": seeds} if seeds else {})
    if noise.times and dtype == torch.float32:
        more["times"] = noise.times
    if name == "dpm_adaptive":
        more["steps"] = len(steps)
        steps = steps[:-1]
    add(name, sigmas, options, steps if all_steps else None, final, noise, schedule=scheduler, **more)


def restart(n, options=None):
    """Restart sampling composed of k-diffusion's Heun steps, with A1111's default list of restarts."""
    given = schedule("karras", n).double()
    torch.set_default_dtype(torch.float64)
    noise, s_noise = Noise(torch.float64), (options or {}).get("sNoise", 1.0)
    length, times = (0, 0) if n < 20 else (9, 1) if n < 36 else (n // 4, 2)
    sigmas = K.get_sigmas_karras(n - length * times, given[-2].item(), given[0].item()) if times else given
    walk = [sigmas]
    if times:
        low, high = [int((sigmas - s).abs().argmin()) for s in (0.1, 2.0)]
        again = K.get_sigmas_karras(length + 1, sigmas[low].item(), sigmas[high].item())[:-1]
        walk = [sigmas[: low + 1], *[again] * times, sigmas[low:]]
    x = (torch.from_numpy(LATENT) * given[0].float()).double()
    reached, steps = None, []
    randn_like, torch.randn_like = torch.randn_like, torch.zeros_like  # Heun's own noise, unused without churn
    for part in walk:
        if reached is not None and reached < part[0]:
            x = x + noise.next() * s_noise * (part[0] ** 2 - reached**2) ** 0.5
        for pair in zip(part[:-1], part[1:]):
            x = K.sample_heun(denoise, x, torch.stack(pair), disable=True)
            steps.append(x)
            reached = pair[1]
    torch.randn_like = randn_like
    torch.set_default_dtype(torch.float32)
    add("restart", given, options or {}, None, x, noise, schedule="karras", steps=len(steps))


# --- diffusers --------------------------------------------------------------------------------------------------------

BETAS = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
LEADING = {**BETAS, "timestep_spacing": "leading", "steps_offset": 1, "set_alpha_to_one": False}
PREDICTIONS = {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}
D_SCHEDULERS = {
    "ddim": lambda **k: DDIMScheduler(**LEADING, clip_sample=False, **k),
    "plms": lambda **k: PNDMScheduler(**LEADING, skip_prk_steps=True, **k),
    "lcm": lambda **k: LCMScheduler(**BETAS, **k),
    "tcd": lambda **k: TCDScheduler(**BETAS, **k),
}


def network(prediction, x_vp, alpha):
    """Returns what a network of this kind predicts at the variance-preserving x_vp if the denoiser is `denoise`."""
    x0 = denoise(x_vp / alpha**0.5, sigmas_of(alpha))
    eps = (x_vp - alpha**0.5 * x0) / (1 - alpha) ** 0.5
    return {"eps": eps, "x0": x0, "v": alpha**0.5 * eps - (1 - alpha) ** 0.5 * x0}[prediction]


def diffusers(name, n, prediction="eps", options=None, start=0, zero_snr=False, all_steps=False):
    options = options or {}
    scheduler = D_SCHEDULERS[name](prediction_type=PREDICTIONS[prediction])
    alphas = alphas_cumprod(zero_snr).double()
    scheduler.alphas_cumprod = alphas
    scheduler.final_alpha_cumprod = alphas[0]
    scheduler.set_timesteps(n)
    last = {"ddim": SIGMAS[0], "plms": SIGMAS[0], "lcm": torch.tensor(0.0), "tcd": SIGMAS[0]}[name]
    own = list(dict.fromkeys(scheduler.timesteps.tolist()))  # PNDM calls its second timestep twice
    sigmas = torch.cat([sigmas_of(alphas_cumprod(zero_snr))[own], last[None]])
    timesteps = scheduler.timesteps[start:]
    noise = Noise(torch.float64)
    for module in (scheduling_ddim, scheduling_lcm, scheduling_tcd):
        module.randn_tensor = noise.next
    x = torch.from_numpy(LATENT).double()
    if start > 0:  # image-to-image from the centers
        alpha = alphas[timesteps[0]]
        x = alpha**0.5 * torch.from_numpy(CENTERS).double() + (1 - alpha) ** 0.5 * x
    steps = []
    for i, t in enumerate(timesteps):
        x = scheduler.step(network(prediction, x, alphas[t]), t, x, **options).prev_sample
        if name == "plms" and n > 1:  # its first step is repeated
            i -= 1
        if 0 <= i < n - start - 1:  # in the sampler's scale: x = x0 + sigma * noise
            steps.append(x * (1 + sigmas[start + i + 1].double() ** 2) ** 0.5)
    more = {"prediction": prediction} | ({"start": start} if start else {}) | ({"zeroSnr": True} if zero_snr else {})
    add(name, sigmas, options, steps if all_steps else None, x, noise, n=n, **more)


def trailing(name, n, options=None, all_steps=False):
    """The trailing timesteps instead of the scheduler's own. DDIM ends at alpha 1, as the schedule's last sigma is 0."""
    options = options or {}
    alphas = alphas_cumprod().double()
    if name == "ddim":
        scheduler = DDIMScheduler(**BETAS, timestep_spacing="trailing", clip_sample=False)
        scheduler.set_timesteps(n)
    else:
        scheduler = D_SCHEDULERS[name]()
        scheduler.set_timesteps(timesteps=[1000 - 1000 * i // n - 1 for i in range(n)])
    scheduler.alphas_cumprod = alphas
    noise = Noise(torch.float64)
    for module in (scheduling_ddim, scheduling_lcm, scheduling_tcd):
        module.randn_tensor = noise.next
    sigmas = torch.cat([SIGMAS[scheduler.timesteps], torch.zeros(1)])
    x, steps = torch.from_numpy(LATENT).double(), []
    for i, t in enumerate(scheduler.timesteps):
        x = scheduler.step(network("eps", x, alphas[t]), t, x, **options).prev_sample
        if i < n - 1:
            steps.append(x * (1 + sigmas[i + 1].double() ** 2) ** 0.5)
    add(name, sigmas, options, steps if all_steps else None, x, noise, schedule="trailing")


def unipc(scheduler_name, n, start=0, all_steps=False):
    scheduler = UniPCMultistepScheduler(**BETAS, prediction_type="sample", solver_order=2, solver_type="bh2")
    scheduler.set_timesteps(n)
    sigmas = schedule(scheduler_name, n)
    scheduler.sigmas = sigmas.double()
    scheduler.timesteps = torch.arange(n)
    scheduler.set_begin_index(start)
    scale = (1 + scheduler.sigmas**2) ** 0.5
    x = torch.from_numpy(LATENT).double()
    if start > 0:
        x = (torch.from_numpy(CENTERS) + scheduler.sigmas[start] * x) / scale[start]
    steps = []
    for i in range(start, n):
        x = scheduler.step(denoise(x * scale[i], scheduler.sigmas[i]), i, x).prev_sample
        if i < n - 1:
            steps.append(x * scale[i + 1])
    more = {"start": start} if start else {}
    add("unipc", sigmas, {}, steps if all_steps else None, x, Noise(torch.float64), schedule=scheduler_name, **more)


def main():
    for name in K_SAMPLERS:
        for scheduler in ("karras", "discrete"):
            for n in (1, 2, 3, 4, 5, 6, 10, 20):
                # with one step DPM-Solver has no interval and the multistep SDE samplers fail
                if n == 1 and name in (*BROWNIAN - {"dpmpp_sde"}, "dpm_fast", "dpm_adaptive"):
                    continue
                if n in (3, 4, 6) and name != "dpm_fast":
                    continue
                k_diffusion(name, scheduler, n, all_steps=(scheduler, n) == ("karras", 10))
        k_diffusion(name, "karras", 10, dtype=torch.float32)
        k_diffusion(name, "discrete", 20, dtype=torch.float32)
    for name in ("euler", "heun", "dpm2"):
        k_diffusion(name, "karras", 10, {"sChurn": 2})
        k_diffusion(name, "discrete", 10, {"sChurn": 20, "sTmin": 0.1, "sTmax": 8, "sNoise": 1.003})
    for name in ("euler_a", "dpm2_a", "dpmpp_2s_a", *sorted(BROWNIAN), "dpm_fast", "dpm_adaptive"):
        for options in ({"eta": 0}, {"eta": 0.5}, {"eta": 1, "sNoise": 1.05}):
            k_diffusion(name, "karras", 10, options)
    for name in ("euler_a", *sorted(BROWNIAN)):
        for scheduler in ("karras", "discrete"):
            k_diffusion(name, scheduler, 12, dtype=torch.float32, seeds=[1234, 1235])
    for n in (1, 5, 19, 20, 25, 36, 40):
        restart(n)
    restart(24, {"sNoise": 1.02})

    for name, counts in {"ddim": (1, 2, 5, 7, 20, 30), "plms": (1, 2, 3, 5, 20, 30), "lcm": (1, 2, 4, 8, 50),
                         "tcd": (1, 2, 4, 7, 50)}.items():  # fmt: skip
        for prediction in ("eps", "v"):
            for n in counts:
                diffusers(name, n, prediction, all_steps=n in (4, 5))
            if name != "plms":
                diffusers(name, 4, prediction, zero_snr=True)
        if name != "plms":
            diffusers(name, 6, "x0")
            diffusers(name, 8, start=3)
    for eta in (0.5, 1.0):
        diffusers("ddim", 10, options={"eta": eta}, all_steps=eta == 1)
    for eta in (0.0, 0.75, 1.0):
        diffusers("tcd", 6, options={"eta": eta})
    for scheduler in ("karras", "discrete"):
        for n in (1, 2, 3, 5, 10, 20):
            unipc(scheduler, n, all_steps=n == 10)
    unipc("karras", 10, start=4)
    for n in (1, 2, 4, 8):
        trailing("ddim", n, all_steps=n == 4)
        trailing("lcm", n, all_steps=n == 4)
        trailing("tcd", n, {"eta": 0.3}, all_steps=n == 4)
    trailing("ddim", 4, {"eta": 1.0})
    trailing("tcd", 1, {"eta": 1.0})
    trailing("tcd", 5, {"eta": 0.0})

    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "cases.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in CASES) + "\n]\n")
    save_file(TENSORS, OUT / "latents.safetensors")
    size = sum(path.stat().st_size for path in OUT.iterdir())
    print(f"{len(CASES)} cases, {size / 1024:.0f} KiB")


main()
