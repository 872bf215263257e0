"""A1111's computation from a prompt to pixels over diffusers' modules, with k-diffusion's samplers: the reference of
the pipelines.

Written from the behavior of stable-diffusion-webui (processing.py, sd_samplers_kdiffusion.py, masking.py, rng.py),
not from its code. Tensors are [1, C, h, w]; every image of a batch is sampled alone, with its own generator.
"""

import math
import sys
import types

import cv2
import numpy as np
import torch
from PIL import Image, ImageFilter

# k-diffusion's package imports evaluation code, so its two modules are imported alone, under a stub of the package.
if "k_diffusion" not in sys.modules:
    import importlib.util

    spec = importlib.util.find_spec("k_diffusion")
    package = types.ModuleType("k_diffusion")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["k_diffusion"] = package
    utils = types.ModuleType("k_diffusion.utils")
    utils.append_dims = lambda x, n: x[(...,) + (None,) * (n - x.ndim)]
    package.utils = sys.modules["k_diffusion.utils"] = utils
import k_diffusion.external as external  # noqa: E402
import k_diffusion.sampling as sampling  # noqa: E402
import torchsde  # noqa: E402

BREAK = "BREAK"


# -- noise -----------------------------------------------------------------------------------------------------------


class CpuNoise:
    """torch's CPU generator, continued from call to call."""

    def __init__(self, seed, shape):
        self.generator, self.shape = torch.Generator().manual_seed(seed), shape

    def next(self):
        return torch.randn(self.shape, generator=self.generator)


class CudaNoise:
    """torch's CUDA generator: Philox 4x32-10, one counter per element, the first output of Box and Muller's pair."""

    def __init__(self, seed, shape):
        self.seed, self.shape, self.offset = seed, shape, 0

    def next(self):
        count = math.prod(self.shape)
        counter = np.zeros((4, count), dtype=np.uint64)
        counter[0], counter[2] = self.offset, np.arange(count)
        self.offset += 1
        key = [self.seed & 0xFFFFFFFF, (self.seed >> 32) & 0xFFFFFFFF]
        for _ in range(10):
            a, b = counter[0] * np.uint64(0xD2511F53), counter[2] * np.uint64(0xCD9E8D57)
            low = np.uint64(0xFFFFFFFF)
            counter = np.stack([(b >> np.uint64(32)) ^ counter[1] ^ np.uint64(key[0]), b & low,
                                (a >> np.uint64(32)) ^ counter[3] ^ np.uint64(key[1]), a & low])  # fmt: skip
            key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
        u = counter[0].astype(np.float32) * np.float32(2**-32) + np.float32(2**-33)
        v = counter[1].astype(np.float32) * np.float32(2**-32 * 2 * math.pi) + np.float32(2**-33 * 2 * math.pi)
        return torch.from_numpy((np.sqrt(-2 * np.log(u)) * np.sin(v)).astype(np.float32).reshape(self.shape))


NOISE = {"cpu": CpuNoise, "cuda": CudaNoise}


def slerp(share, low, high):
    """[C, h, w] each; angles between their columns, following A1111's norm along dimension 1."""
    cosine = torch.nn.functional.cosine_similarity(low.double(), high.double(), dim=1, eps=0)[:, None]
    if cosine.mean() > 0.9995:
        return share * low + (1 - share) * high
    angle = torch.acos(cosine)
    return ((torch.sin((1 - share) * angle) * low + torch.sin(share * angle) * high) / torch.sin(angle)).float()


class VariedNoise:
    """A1111's rng.py: the first noise is varied towards a subseed and cropped from another size, later noise is
    unchanged."""

    def __init__(self, kind, seed, shape, subseed=0, strength=0, resize_from=None, delta=0):
        self.make, self.seed, self.shape, self.delta = NOISE[kind], seed, tuple(shape), delta
        self.subseed, self.strength, self.resize_from = subseed, strength, resize_from
        self.source, self.is_first = self.make(seed, self.shape), True

    def next(self):
        if not self.is_first:
            return self.source.next()
        self.is_first = False
        plain = self.source.next()
        shape = (self.shape[0], *self.resize_from) if self.resize_from else self.shape
        noise = plain if shape == self.shape else self.make(self.seed, shape).next()
        if self.strength:
            noise = slerp(self.strength, noise, self.make(self.subseed, shape).next())
        if shape != self.shape:
            noise = self.centered(plain, noise)
        if self.delta:
            self.source = self.make(self.seed + self.delta, self.shape)
        return noise

    @staticmethod
    def centered(outer, inner):
        """Puts the inner noise into the center of the outer one; half differences are rounded down."""
        outer, spans = outer.clone(), []
        for large, small in zip(outer.shape[1:], inner.shape[1:]):
            gap = (large - small) // 2
            count = small if gap >= 0 else min(small + 2 * gap, large)
            spans.append((slice(max(gap, 0), max(gap, 0) + count), slice(max(-gap, 0), max(-gap, 0) + count)))
        (oy, iy), (ox, ix) = spans
        outer[:, oy, ox] = inner[:, iy, ix]
        return outer


def brownian(x, sigmas, seed, rng):
    """The tree over a schedule's range, with the image's seed as entropy and nodes from the chosen generator."""

    def from_philox(size, dtype, device, seed):
        return CudaNoise(int(seed), size).next().to(dtype)

    interval = torchsde._brownian.brownian_interval
    original = interval._randn
    if rng == "cuda":
        interval._randn = from_philox
    try:
        tree = sampling.BrownianTreeNoiseSampler(x, sigmas[sigmas > 0].min(), sigmas.max(), seed=[seed])
        # All sampling happens inside the call, so the replaced generator must remain for the tree's life.
        return tree, lambda: setattr(interval, "_randn", original)
    except Exception:
        interval._randn = original
        raise


# -- text ------------------------------------------------------------------------------------------------------------


def chunks_of(tokenizer, segments, window):
    """`segments`: (text, weight) pairs as the attention syntax splits a prompt, weight BREAK to close a chunk."""
    ids = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    comma, size = ids(",")[0], window - 2
    chunks, tokens, weights, last_comma = [], [], [], -1

    def close():
        nonlocal tokens, weights, last_comma
        missing = size - len(tokens)
        start, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
        row = [start, *tokens, end] + [pad] * missing
        chunks.append((row, [1.0, *weights, 1.0] + [1.0] * missing))
        tokens, weights, last_comma = [], [], -1

    for text, weight in segments:
        if weight == BREAK:
            close()
            continue
        for token in ids(text):
            if token == comma:
                last_comma = len(tokens)
            elif len(tokens) == size and last_comma != -1 and len(tokens) - last_comma <= 20:
                at = last_comma + 1
                moved = tokens[at:], weights[at:]
                del tokens[at:], weights[at:]
                close()
                tokens, weights = list(moved[0]), list(moved[1])
            if len(tokens) == size:
                close()
            tokens.append(token)
            weights.append(weight)
    if tokens or not chunks:
        close()
    return chunks


def hidden_states(encoder, ids):
    """Inputs of every layer and the output of the last, before the final norm; and that norm."""
    inner = getattr(encoder, "text_model", encoder)
    seen = []
    hooks = [layer.register_forward_pre_hook(lambda _m, args, kw: seen.append(args[0] if args else kw["hidden_states"]),
                                             with_kwargs=True) for layer in inner.encoder.layers]  # fmt: skip
    hooks.append(inner.final_layer_norm.register_forward_pre_hook(lambda _m, args: seen.append(args[0])))
    output = encoder(torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    return seen, inner.final_layer_norm, output


def encode(model, segments, clip_skip=1, zero=False):
    """(context [1, 77 n, C], pooled [1, P] or None)."""
    contexts, pooled = [], None
    is_xl = len(model.text) == 2
    for index, (encoder, tokenizer) in enumerate(zip(model.text, model.tokenizers)):
        parts = []
        for row, weights in chunks_of(tokenizer, segments, encoder.config.max_position_embeddings):
            states, norm, output = hidden_states(encoder, row)
            z = states[-2] if is_xl else norm(states[-clip_skip if model.name != "sd2" else -1])
            if is_xl and index == 1 and pooled is None:
                pooled = output.text_embeds
            before = z.mean()
            z = z * torch.tensor(weights)[None, :, None]
            parts.append(z * (before / z.mean()))
        contexts.append(torch.cat(parts, dim=1))
    context = torch.cat(contexts, dim=-1)
    if zero:
        return torch.zeros_like(context), torch.zeros_like(pooled)
    return context, pooled


def pad_with_empty(model, context, length, clip_skip):
    """A1111's pad_cond_uncond: appends encodings of the empty prompt."""
    empty = encode(model, [], clip_skip)[0]
    while context.shape[1] < length:
        context = torch.cat([context, empty], dim=1)
    return context


# -- denoising -------------------------------------------------------------------------------------------------------


def alphas_cumprod(config):
    """In f64, stored as f32, as LDM does; zero terminal SNR (Lin et al. 2023) on f32 numbers, as A1111 does."""
    betas = np.linspace(config["beta_start"] ** 0.5, config["beta_end"] ** 0.5, config["num_train_timesteps"]) ** 2
    alphas = torch.from_numpy(np.cumprod(1 - betas).astype(np.float32))
    if config.get("rescale_betas_zero_snr"):
        root = alphas.sqrt()
        root = (root - root[-1]) * (root[0] / (root[0] - root[-1]))
        alphas = root**2
        alphas[-1] = 4.8973451890853435e-08  # as A1111 and ComfyUI keep the last sigma finite
    return alphas


class Denoiser(external.DiscreteSchedule):
    """Returns denoise(x, sigma) -> x0 with guidance; `blend` is (init latent, mask [h, w] with 1 in the inpainted
    area)."""

    def __init__(self, model, cond, uncond, cfg, size, concat=None, blend=None, interval=None):
        alphas = alphas_cumprod(model.scheduler)
        super().__init__(((1 - alphas) / alphas) ** 0.5, quantize=False)
        self.model, self.cfg, self.concat, self.blend = model, cfg, concat, blend
        self.interval = interval
        self.cond, self.uncond = cond, uncond
        height, width = size
        self.ids = torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32)
        self.prediction = model.scheduler["prediction_type"]

    def predict(self, x, sigma, conditions):
        """Predictions of x0 for each of the conditions, in one batch."""
        root = (sigma**2 + 1) ** 0.5
        sample = x / root
        if self.concat is not None:
            sample = torch.cat([sample, self.concat], dim=1)
        n = len(conditions)
        added = None
        if len(self.model.text) == 2:
            added = {"text_embeds": torch.cat([c[1] for c in conditions]), "time_ids": self.ids.repeat(n, 1)}
        out = self.model.unet(
            sample.repeat(n, 1, 1, 1), self.sigma_to_t(sigma).repeat(n), torch.cat([c[0] for c in conditions]),
            added_cond_kwargs=added,
        ).sample  # fmt: skip
        if self.prediction == "v_prediction":
            return x / (sigma**2 + 1) - out * sigma / root
        return out if self.prediction == "sample" else x - out * sigma

    def forward(self, x, sigma, **_):
        sigma = sigma.reshape(-1)[:1]
        guided = self.cfg != 1 and (self.interval is None or self.interval[0] <= sigma <= self.interval[1])
        if guided:
            cond, uncond = self.predict(x, sigma, [self.cond, self.uncond]).chunk(2)
            x0 = uncond + self.cfg * (cond - uncond)
        else:
            x0 = self.predict(x, sigma, [self.cond])
        if self.blend is not None:
            init, mask = self.blend
            x0 = x0 * mask + init * (1 - mask)
        return x0


def schedule(denoiser, name, n):
    low, high = denoiser.sigmas[0].item(), denoiser.sigmas[-1].item()
    if name == "discrete":
        return denoiser.get_sigmas(n)
    if name == "karras":
        return sampling.get_sigmas_karras(n, low, high)
    if name == "exponential":
        return sampling.get_sigmas_exponential(n, low, high)
    raise ValueError(name)


SAMPLERS = {
    "euler": sampling.sample_euler, "euler_a": sampling.sample_euler_ancestral, "heun": sampling.sample_heun,
    "dpm2_a": sampling.sample_dpm_2_ancestral, "lms": sampling.sample_lms, "dpmpp_2s_a": sampling.sample_dpmpp_2s_ancestral,
    "dpmpp_sde": sampling.sample_dpmpp_sde, "dpmpp_2m": sampling.sample_dpmpp_2m,
    "dpmpp_2m_sde": sampling.sample_dpmpp_2m_sde, "dpmpp_3m_sde": sampling.sample_dpmpp_3m_sde,
}  # fmt: skip


def sample(denoiser, x, sigmas, sampler, noise, seed, rng, full_sigmas=None, eta=None):
    options = {} if eta is None else {"eta": eta}
    restore = lambda: None  # noqa: E731
    if sampler.endswith("sde"):
        options["noise_sampler"], restore = brownian(x, sigmas if full_sigmas is None else full_sigmas, seed, rng)
    elif sampler.endswith("_a"):
        options["noise_sampler"] = lambda *_: noise.next()[None]
    try:
        return SAMPLERS[sampler](denoiser, x, sigmas, disable=True, **options)
    finally:
        restore()


# -- pixels ----------------------------------------------------------------------------------------------------------


def to_tensor(image):
    return torch.from_numpy(np.asarray(image, dtype=np.float32)).permute(2, 0, 1)[None] / 255 * 2 - 1


def to_pixels(decoded):
    array = decoded[0].permute(1, 2, 0).double().numpy()
    return np.round(255 * np.clip(array / 2 + 0.5, 0, 1)).astype(np.uint8)


def encode_image(model, tensor, noise=None):
    """The posterior's mean, or a sample of it from the image's generator; scaled for the sampler."""
    posterior = model.vae.encode(tensor).latent_dist
    z = posterior.mean if noise is None else posterior.mean + posterior.std * noise
    return z * model.vae.config.scaling_factor


def decode(model, latent):
    return model.vae.decode(latent / model.vae.config.scaling_factor).sample


# -- masks -----------------------------------------------------------------------------------------------------------


def blur_mask(mask, sigma):
    """Applies a blur along each axis, as A1111 does; a pair is horizontal and vertical."""
    for axis, one in enumerate(sigma if isinstance(sigma, (list, tuple)) else (sigma, sigma)):
        if one > 0:
            size = 2 * int(2.5 * one + 0.5) + 1
            mask = Image.fromarray(cv2.GaussianBlur(np.asarray(mask), ((size, 1), (1, size))[axis], one))
    return mask


def resize_image(mode, image, width, height):
    """A1111's resize modes. 0: stretch. 1: cover the size and crop to the center. 2: fit within it and repeat the
    edges."""
    if mode == 0:
        return image.resize((width, height), Image.LANCZOS)
    wider = width / height > image.width / image.height
    if (mode == 1) == wider or (mode == 2 and width / height == image.width / image.height):
        inner = width, image.height * width // image.width
    else:
        inner = image.width * height // image.height, height
    if width / height == image.width / image.height:
        inner = width, height
    small = image.resize(inner, Image.LANCZOS)
    result = Image.new(image.mode, (width, height))
    left, top = width // 2 - inner[0] // 2, height // 2 - inner[1] // 2
    result.paste(small, (left, top))
    if mode == 2 and not wider and top > 0:
        result.paste(small.resize((width, top), box=(0, 0, width, 0)), (0, 0))
        result.paste(small.resize((width, top), box=(0, inner[1], width, inner[1])), (0, top + inner[1]))
    elif mode == 2 and wider and left > 0:
        result.paste(small.resize((left, height), box=(0, 0, 0, height)), (0, 0))
        result.paste(small.resize((left, height), box=(inner[0], 0, inner[0], height)), (left + inner[0], 0))
    return result


def latent_mask(mask, shape, rounds=True):
    """[h, w], 1 in the inpainted area: Pillow's bicubic with antialiasing, then rounded unless soft masks are enabled."""
    small = np.asarray(mask.convert("RGB").resize((shape[-1], shape[-2])), dtype=np.float32)[:, :, 0] / 255
    return torch.from_numpy(np.around(small) if rounds else small)


def paste_back(pixels, original, overlay_mask):
    """Keeps the original where the overlay's mask is 0; in between both are mixed."""
    m = np.asarray(overlay_mask, dtype=np.float64)[:, :, None] / 255
    return np.round(pixels * m + np.asarray(original, dtype=np.float64) * (1 - m)).astype(np.uint8)


def crop_region(mask, pad, size):
    """Bounding box of the mask's non-zero pixels with padding, widened to the aspect ratio of the processed size."""
    array = np.asarray(mask)
    rows, cols = np.nonzero(array.max(axis=1))[0], np.nonzero(array.max(axis=0))[0]
    height, width = array.shape
    x1, y1 = max(int(cols[0]) - pad, 0), max(int(rows[0]) - pad, 0)
    x2, y2 = min(int(cols[-1]) + 1 + pad, width), min(int(rows[-1]) + 1 + pad, height)

    def widen(a, b, wanted, limit):
        extra = int(wanted - (b - a))
        a, b = a - extra // 2, b + extra - extra // 2
        if b >= limit:
            a, b = a - (b - limit), limit
        if a < 0:
            a, b = 0, b - a
        return a, min(b, limit)

    ratio = size[0] / size[1]
    if (x2 - x1) / (y2 - y1) > ratio:
        y1, y2 = widen(y1, y2, (x2 - x1) / ratio, height)
    else:
        x1, x2 = widen(x1, x2, (y2 - y1) * ratio, width)
    return x1, y1, x2, y2


def fill(image, mask):
    """Colors of the unmasked surroundings, blurred into the mask from far to near."""
    premultiplied = Image.new("RGBa", image.size)
    premultiplied.paste(image.convert("RGBA").convert("RGBa"), mask=Image.eval(mask.convert("L"), lambda v: 255 - v))
    result = Image.new("RGBA", image.size)
    for radius, repeats in ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1)):
        layer = premultiplied.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(repeats):
            result.alpha_composite(layer)
    return result.convert("RGB")
