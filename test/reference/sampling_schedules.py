"""Writes test/fixtures/sampling/{denoiser,schedules,beta,guidance,projection}.json: the discrete schedules and denoisers of k-diffusion, the
sigmas of k-diffusion's and A1111's schedules and of diffusers' trailing timesteps, and guidance as in diffusers.

Run: /path/to/venv/bin/python test/reference/sampling_schedules.py   (torch, numpy, scipy, diffusers, k-diffusion as pinned in
requirements.txt)
"""

import importlib.util
import json
import math
import pathlib
import sys
import types

import numpy as np
import torch
from diffusers import DDIMScheduler
from diffusers.guiders.adaptive_projected_guidance import AdaptiveProjectedGuidance, MomentumBuffer
from scipy import stats

# the package's __init__ imports evaluation code that is not needed here
package = types.ModuleType("k_diffusion")
package.__path__ = list(importlib.util.find_spec("k_diffusion").submodule_search_locations)
sys.modules["k_diffusion"] = package
sys.modules["k_diffusion.utils"] = types.ModuleType("k_diffusion.utils")
sys.modules["k_diffusion.utils"].append_dims = lambda x, n: x[(...,) + (None,) * (n - x.ndim)]
package.utils = sys.modules["k_diffusion.utils"]
from k_diffusion import external, sampling  # noqa: E402

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "sampling"
torch.set_grad_enabled(False)


def alphas_cumprod(config):
    """The alphas that LDM registers: products in f64, stored in f32; the rescaling to zero terminal SNR is A1111's."""
    steps, start, end = config["num_train_timesteps"], config["beta_start"], config["beta_end"]
    if config["beta_schedule"] == "scaled_linear":
        betas = (torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2).numpy()
    elif config["beta_schedule"] == "linear":
        betas = torch.linspace(start, end, steps, dtype=torch.float64).numpy()
    else:
        bar = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2) ** 2
        betas = np.minimum(1 - bar[1:] / bar[:-1], 0.999)
    alphas = torch.tensor(np.cumprod(1.0 - betas), dtype=torch.float32)
    if config["rescale_zero_snr"]:
        # in NumPy, whose f32 square root is correctly rounded; MKL's in torch is not, which the subtraction would
        # amplify
        root = np.sqrt(alphas.numpy())
        alphas = torch.from_numpy(((root - root[-1]) * (root[0] / (root[0] - root[-1]))) ** 2)
        alphas[-1] = 4.8973451890853435e-08
    return alphas


def config(schedule="scaled_linear", start=0.00085, end=0.012, steps=1000, snr=False, prediction="eps"):
    return {"prediction": prediction, "beta_schedule": schedule, "beta_start": start, "beta_end": end,
            "num_train_timesteps": steps, "rescale_zero_snr": snr}


CONFIGS = {
    "sd": config(),
    "sd zero snr": config(snr=True),
    "latent diffusion": config(start=0.0015, end=0.0195),
    "linear": config("linear", 0.0001, 0.02, 400),
    "cosine": config("squaredcos_cap_v2", steps=100),
}


def network(x, t):
    """Stands in for a network: depends on every input."""
    return 0.7 * x + 0.3 * torch.cos(t * 0.01).reshape(-1, 1)


class XDenoiser(external.DiscreteSchedule):
    """A prediction of x0 itself, in the scale that k-diffusion uses for the others."""

    def __init__(self, alphas):
        super().__init__(((1 - alphas) / alphas) ** 0.5, False)

    def forward(self, x, sigma):
        return network(x / (sigma[:, None] ** 2 + 1) ** 0.5, self.sigma_to_t(sigma))


def numbers(tensor):
    """f32 in the shortest decimals that are read back exactly."""
    return [float(str(x)) for x in np.asarray(tensor, dtype=np.float32).reshape(-1)]


def denoisers():
    random = np.random.default_rng(7)
    cases = []
    for name, each in CONFIGS.items():
        alphas = alphas_cumprod(each)
        models = {"eps": external.DiscreteEpsDDPMDenoiser(network, alphas, quantize=False),
                  "v": external.DiscreteVDDPMDenoiser(network, alphas, quantize=False), "x0": XDenoiser(alphas)}
        schedule = models["eps"]
        last = len(alphas) - 1
        low, high = schedule.sigma_min.item(), schedule.sigma_max.item()
        sigmas = np.float32(np.concatenate([np.exp(random.uniform(math.log(low), math.log(high), 60)),
                                            [low, high, low * 0.5, high * 2], schedule.sigmas[[1, last // 2, last - 1]].numpy()]))
        ts = np.float32(np.concatenate([random.uniform(0, last, 40), [0, last, 1, last - 1, 0.5, last - 0.25]]))
        x = np.float32(random.normal(size=6) * 3)
        denoised = []
        for prediction, model in models.items():
            for sigma in sigmas[:6]:
                out = model(torch.tensor(x)[None] * float(sigma), torch.tensor([sigma]))
                denoised.append({"prediction": prediction, "sigma": float(sigma), "x": numbers(torch.tensor(x) * float(sigma)), "x0": numbers(out)})
        cases.append({
            "name": name, "config": each, "stride": 7, "alphas": numbers(alphas[::7]), "sigmas": numbers(schedule.sigmas[::7]),
            "lastAlpha": numbers(alphas[-1])[0], "sigmaMin": low, "sigmaMax": high,
            "sigmaToT": [[float(s), t] for s, t in zip(sigmas, numbers(schedule.sigma_to_t(torch.tensor(sigmas))))],
            "sigmaToNearestT": [[float(s), t] for s, t in zip(sigmas, schedule.sigma_to_t(torch.tensor(sigmas), quantize=True).tolist())],
            "tToSigma": [[float(t), s] for t, s in zip(ts, numbers(schedule.t_to_sigma(torch.tensor(ts))))],
            "denoised": denoised,
        })
    write("denoiser.json", cases)


# --- A1111's schedules (modules/sd_schedulers.py), written from their formulas -------------------------------------------------


def sgm_uniform(n, low, high, model):
    start, end = model.sigma_to_t(torch.tensor(high)), model.sigma_to_t(torch.tensor(low))
    return [float(model.t_to_sigma(t)) for t in torch.linspace(start.item(), end.item(), n + 1)[:-1]] + [0.0]


def align_your_steps(n, table):
    if n == len(table):
        return table + [0.0]
    at = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(table)), np.log(table[::-1]))
    return list(np.exp(at)[::-1]) + [0.0]


AYS_SD1 = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]
AYS_SDXL = [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029]


def kl_optimal(n, low, high):
    at = torch.arange(n + 1) / n
    return torch.tan(at * torch.arctan(torch.tensor(low)) + (1.0 - at) * torch.arctan(torch.tensor(high)))


def simple(n, sigmas):
    return [float(sigmas[-(1 + int(i * (len(sigmas) / n)))]) for i in range(n)] + [0.0]


def ddim(n, sigmas):
    return [float(s) for s in sigmas[1 :: max(len(sigmas) // n, 1)]][::-1] + [0.0]


def trailing(n, sigmas):
    scheduler = DDIMScheduler(num_train_timesteps=len(sigmas), timestep_spacing="trailing")
    scheduler.set_timesteps(n)
    return [float(sigmas[t]) for t in scheduler.timesteps] + [0.0]


def beta(n, low, high):
    return [low + stats.beta.ppf(p, 0.6, 0.6) * (high - low) for p in 1 - np.linspace(0, 1, n)] + [0.0]


def schedules():
    cases = []
    for name, each in CONFIGS.items():
        alphas = alphas_cumprod(each)
        model = external.DiscreteEpsDDPMDenoiser(None, alphas, quantize=False)
        low, high = model.sigma_min.item(), model.sigma_max.item()
        few = name not in ("sd", "sd zero snr")
        for n in [1, 3, 20] if few else [1, 2, 3, 4, 7, 10, 11, 12, 20, 25, 33, 50, 100, 999, 1000, 1001, 1500]:
            results = {
                "discrete": model.get_sigmas(n),
                "karras": sampling.get_sigmas_karras(n, low, high),
                "exponential": sampling.get_sigmas_exponential(n, low, high),
                "polyexponential": sampling.get_sigmas_polyexponential(n, low, high),
                "sgm_uniform": sgm_uniform(n, low, high, model),
                "ddim": ddim(n, model.sigmas),
                "beta": beta(n, low, high),
                "kl_optimal": kl_optimal(n, low, high),
            }
            if n <= len(alphas):
                results["simple"] = simple(n, model.sigmas)
                results["trailing"] = trailing(n, model.sigmas)
            for schedule, sigmas in results.items():
                add(cases, {"model": name, "schedule": schedule, "n": n}, sigmas)
            if name == "sd":
                for family, table in [("sd1", AYS_SD1), ("custom", AYS_SD1), ("sdxl", AYS_SDXL), ("sdxl_refiner", AYS_SDXL)]:
                    add(cases, {"model": name, "schedule": "align_your_steps", "n": n, "family": family}, align_your_steps(n, table))
                extra = {"sigmaMin": 0.1, "sigmaMax": 10.0}
                add(cases, {"model": name, "schedule": "karras", "n": n, **extra, "rho": 5}, sampling.get_sigmas_karras(n, 0.1, 10.0, rho=5.0))
                add(cases, {"model": name, "schedule": "polyexponential", "n": n, **extra, "rho": 1.5},
                    sampling.get_sigmas_polyexponential(n, 0.1, 10.0, rho=1.5))
                add(cases, {"model": name, "schedule": "exponential", "n": n, **extra}, sampling.get_sigmas_exponential(n, 0.1, 10.0))
                add(cases, {"model": name, "schedule": "kl_optimal", "n": n, **extra}, kl_optimal(n, 0.1, 10.0))
                add(cases, {"model": name, "schedule": "beta", "n": n, **extra}, beta(n, 0.1, 10.0))
                add(cases, {"model": name, "schedule": "sgm_uniform", "n": n, **extra}, sgm_uniform(n, 0.1, 10.0, model))
    write("schedules.json", cases)


def add(cases, case, sigmas):
    """Of long schedules only every nth value is stored, from the end."""
    stride = 1 if len(sigmas) <= 34 else 29
    values = np.asarray(sigmas, dtype=np.float32)[::-1][::stride]
    cases.append({**case, "length": len(sigmas), "stride": stride, "fromEnd": numbers(values)})


def inverse_beta():
    ps = [0, 1e-12, 1e-6, 0.001, 0.1, 0.25, 0.4999, 0.5, 0.500001, 0.7, 0.9, 0.999, 1 - 1e-9, 1]
    cases = [{"a": a, "b": b, "values": [[p, float(stats.beta.ppf(p, a, b))] for p in ps]}
             for a, b in [(0.6, 0.6), (0.5, 0.5), (1, 1), (2, 3), (0.3, 2.5), (5, 0.7)]]
    write("beta.json", cases)


def guidance():
    """Classifier-free guidance and its rescaling as in diffusers (rescale_noise_cfg; Lin et al. 2023)."""
    generator, cases = torch.Generator().manual_seed(5), []
    for scale, rescale in [(7.0, 0.0), (7.5, 0.7), (3.0, 1.0), (-1.0, 0.5), (1.5, 0.25)]:
        negative, positive = torch.randn(2, 3, 8, generator=generator) * 1.5 + 0.2
        guided = negative + scale * (positive - negative)
        scaled = guided * (positive.std(dim=1, keepdim=True) / guided.std(dim=1, keepdim=True))
        cases.append({"scale": scale, "rescale": rescale, "count": 3, "predictions": numbers(torch.cat([negative, positive])),
                      "combined": numbers(rescale * scaled + (1 - rescale) * guided)})
    write("guidance.json", cases)


def projection():
    """Adaptive projected guidance as by diffusers' guider, over the evaluations of a pass."""
    generator, cases = torch.Generator().manual_seed(6), []
    for momentum, threshold, eta, rescale in [(None, 0.0, 1.0, 0.0), (None, 5.0, 1.0, 0.0), (None, 0.0, 0.0, 0.0),
                                              (-0.5, 5.0, 0.0, 0.0), (0.75, 4.0, 0.3, 0.7)]:
        guider = AdaptiveProjectedGuidance(5.0, momentum, threshold, eta=eta, guidance_rescale=rescale)
        guider.momentum_buffer = None if momentum is None else MomentumBuffer(momentum)
        evaluations = []
        for spread in (1.5, 0.7, 1.0):
            negative, positive = torch.randn(2, 2, 1, 4, 4, generator=generator) * spread + 0.2
            guided = guider.forward(positive, negative).pred
            evaluations.append({"predictions": numbers(torch.cat([negative, positive])), "combined": numbers(guided)})
        cases.append({"scale": 5.0, "momentum": momentum or 0, "threshold": threshold, "eta": eta, "rescale": rescale,
                      "count": 2, "evaluations": evaluations})
    write("projection.json", cases)


def write(name, cases):
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / name).write_text("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")


if __name__ == "__main__":
    denoisers()
    schedules()
    inverse_beta()
    guidance()
    projection()
