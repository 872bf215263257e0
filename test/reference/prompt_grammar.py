"""Writes test/fixtures/prompt-grammar: whole images of prompts that change while sampling, of AND, and of regions.

    python test/reference/prompt_grammar.py [case-name-part ...]

No prompt is parsed here. Each case lists by hand, after the doctests of A1111's prompt_parser.py, what its prompts mean:
parts joined by AND with their weights, for each part the texts with the last model evaluation (from 0) at which they
apply, for each text the pieces of equal attention. The conditioning of an evaluation and the combination of the
predictions follow A1111's behavior (prompt_parser.py, sd_hijack_clip.py, sd_samplers_cfg_denoiser.py):

- Steps in prompts count model evaluations; a sampler with two of them per step has twice as many steps.
- Each text is encoded alone, so that its states do not depend on the other texts of a schedule. (A1111 encodes the texts of
  a schedule in one batch: they are as long as the longest of them, and emphasis preserves the mean of the batch.)
- Parts of one prompt are as long as the longest part at an evaluation: the last vector is repeated.
- Then prompt and negative prompt are made equally long, by encodings of the empty prompt.
- uncond + sum of (cond_i - uncond) * weight_i * cfg.

Each case has neutral prompts without the construct; the script asserts that the image differs from theirs by at least 8
of 255 on average, and that a schedule shifted by one evaluation would be seen.
"""

import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from transformers import CLIPTokenizer

import pipelines
import pipelines_models as models
import pipelines_webui as webui

OUT = Path(__file__).resolve().parents[1] / "fixtures" / "prompt-grammar"
PIPELINES = Path(__file__).resolve().parents[1] / "fixtures" / "pipelines"
CASES = []
SIZE = 24
END = 10**6
BREAK = ("", webui.BREAK)
LESS = 1 / 1.1


def case(name, prompt, neutral, positive=None, uncond=None, hires=None, model="sd1", regions=None,
         neutral_negative=None, **options):  # fmt: skip
    """Adds a case.

    `positive`: parts (weight, schedule) of the first pass, `hires`: of the second pass. A schedule is a text, or a list of
    (last evaluation, text); a text is a string, or a list of (piece, attention). `uncond`: the schedule of the negative
    prompt. `regions`: (name of a mask, prompt, its parts unless it is a plain prompt).
    """
    plain = dict(prompt=prompt, negative="blurry ugly", steps=6, cfg=7, sampler="euler", schedule="karras", rho=1, seed=11,
                 width=SIZE, height=SIZE)  # fmt: skip
    merged = plain | options
    instead = {"prompt": neutral} | ({"negative": neutral_negative} if neutral_negative is not None else {})
    CASES.append(dict(name=name, model=model, options=merged, neutral=instead, positive=positive or [(1, prompt)],
                      uncond=uncond or merged["negative"], hires=hires or positive or [(1, prompt)], regions=regions))  # fmt: skip


def alternating(options, steps):
    """The schedule of an alternation: option (step - 1) mod n up to evaluation `step`."""
    return [(step, options[(step - 1) % len(options)]) for step in range(1, steps + 1)]


RED, BLUE = "a red apple on the road", "a blue moon with silver stars and water"
# A longer prompt than one chunk.
MANY = " ".join(f"{color} {thing}" for color in ("gold", "silver", "dark", "green") for thing in
                ("castle", "dog", "flower", "horse", "king", "moon", "river", "snow", "tree", "ship"))  # fmt: skip


def editing_cases():
    both = f"[{RED}:{BLUE}:"
    edited = lambda last: [(1, [(last, RED), (END, BLUE)])]  # noqa: E731
    case("editing", f"{both}2]", RED, edited(2))
    case("editing-fraction", f"{both}0.3]", RED, edited(2), steps=8)
    case("editing-step", f"{both}3]", RED, edited(3), steps=8)
    # A step without a point counts evaluations, also if it is 1.
    case("editing-at-1", f"{both}1]", BLUE, edited(1))
    case("editing-at-1.0", f"{both}1.0]", BLUE, [(1, RED)])
    case("editing-past-the-end", f"{both}9]", BLUE, [(1, RED)])
    case("editing-before-1", f"{both}0.1]", RED, [(1, BLUE)])
    case("editing-negative-step", f"{both}-2]", RED, [(1, BLUE)])
    case("editing-spaces", f"a [ fox : {BLUE} : 2 ] by the road", "a  fox  by the road",
         [(1, [(2, "a  fox  by the road"), (END, f"a  {BLUE}  by the road")])])  # fmt: skip
    case("adding", f"{RED} [, {BLUE}:2]", RED, [(1, [(2, f"{RED} "), (END, f"{RED} , {BLUE}")])])
    case("removing", f"{RED} [, {BLUE}::3]", RED, [(1, [(3, f"{RED} , {BLUE}"), (END, f"{RED} ")])])
    case("editing-nested", "a [red apple:[blue moon:gold king and silver queen:3]:1] at night", "a red apple at night",
         [(1, [(1, "a red apple at night"), (3, "a blue moon at night"), (END, "a gold king and silver queen at night")])])  # fmt: skip
    # Heun evaluates the model twice per step, except for the last.
    case("editing-heun", f"{both}2]", RED, edited(2), sampler="heun", steps=4)
    case("editing-heun-fraction", f"{both}0.3]", RED, edited(2), sampler="heun", steps=4)
    case("editing-dpmpp-2m", f"{both}0.4]", RED, edited(3), sampler="dpmpp_2m", steps=8)
    case("editing-lengths", f"[{RED}:{MANY}:2]", RED, [(1, [(2, RED), (END, MANY)])])
    case("editing-xl", f"{both}2]", RED, edited(2), model="sdxl", steps=6)


def alternation_cases():
    case("alternation", f"[{RED}|{BLUE}]", RED, [(1, alternating([RED, BLUE], 6))])
    case("alternation-of-3", f"[{RED}|{BLUE}|dark castle at night]", RED,
         [(1, alternating([RED, BLUE, "dark castle at night"], 7))], sampler="dpmpp_2m", steps=7)  # fmt: skip
    case("alternation-empty", f"[{RED}|] {BLUE}", f"{RED} {BLUE}", [(1, alternating([f"{RED} {BLUE}", f" {BLUE}"], 6))])
    case("alternation-heun", f"[{RED}|{BLUE}]", RED, [(1, alternating([RED, BLUE], 8))], sampler="heun", steps=4)
    # Until evaluation 2 the apple; then steps 3, 4, 5 ... of the alternation.
    case("alternation-nested", "a [red apple:[blue moon and stars|dark castle on a mountain]:2] at night", "a red apple at night",
         [(1, [(2, "a red apple at night"), (3, "a blue moon and stars at night"), (4, "a dark castle on a mountain at night"),
               (5, "a blue moon and stars at night"), (6, "a dark castle on a mountain at night")])])  # fmt: skip
    case("editing-in-alternation", f"[[{RED}:dark castle:3]|{BLUE}]", RED,
         [(1, [(1, RED), (2, BLUE), (3, RED), (4, BLUE), (5, "dark castle"), (6, BLUE)])])  # fmt: skip


def and_cases():
    case("and", f"{RED} AND {BLUE}", RED, [(1, RED), (1, BLUE)])
    case("and-weights", f"{RED} :0.7 AND {BLUE} :-0.4 AND dark castle at night:.5", RED,
         [(0.7, RED), (-0.4, BLUE), (0.5, "dark castle at night")])  # fmt: skip
    case("and-weight-of-one-prompt", f"{RED} :0.3", RED, [(0.3, RED)])
    case("and-heun", f"{RED} AND {BLUE}:0.6", RED, [(1, RED), (0.6, BLUE)], sampler="heun", steps=4)
    case("and-lengths", f"{RED} AND {MANY} :0.8", RED, [(1, RED), (0.8, MANY)])
    case("and-long-negative", f"{RED} AND {BLUE} :0.8", RED, [(1, RED), (0.8, BLUE)], negative=MANY)
    case("and-editing", f"[{RED}:{BLUE}:2] AND [dark castle|gold king]:0.6", RED,
         [(1, [(2, RED), (END, BLUE)]), (0.6, alternating(["dark castle", "gold king"], 6))])  # fmt: skip
    # The prompt is split before brackets are read: the first part has an open bracket.
    case("and-in-brackets", f"[{RED} AND {BLUE}:2]", f"[{RED}", [(1, [(RED, LESS)]), (1, f"{BLUE}:2]")])
    case("and-xl", f"{RED} AND {BLUE} :0.6", RED, [(1, RED), (0.6, BLUE)], model="sdxl", steps=5)
    case("and-dpmpp-2m", f"{RED} AND {BLUE} :-0.5", RED, [(1, RED), (-0.5, BLUE)], sampler="dpmpp_2m")


def attention_cases():
    case("emphasis-around-editing", "a (red [apple:moon and stars:2]:1.5) on the road", "a (red apple:1.5) on the road",
         [(1, [(2, [("a ", 1), ("red apple", 1.5), (" on the road", 1)]),
               (END, [("a ", 1), ("red moon and stars", 1.5), (" on the road", 1)])])])  # fmt: skip
    case("emphasis-in-editing", "a [(apple:1.4):[[dark castle]]:2] at night", "a (apple:1.4) at night",
         [(1, [(2, [("a ", 1), ("apple", 1.4), (" at night", 1)]),
               (END, [("a ", 1), ("dark castle", LESS * LESS), (" at night", 1)])])])  # fmt: skip
    case("break-and-editing", f"{RED} BREAK [{BLUE}:dark castle:1]", f"{RED} BREAK {BLUE}",
         [(1, [(1, [(RED, 1), BREAK, (BLUE, 1)]), (END, [(RED, 1), BREAK, ("dark castle", 1)])])])  # fmt: skip
    case("break-in-alternation", f"{RED} [BREAK {BLUE}|at night]", RED,
         [(1, alternating([[(RED, 1), BREAK, (BLUE, 1)], f"{RED} at night"], 6))])  # fmt: skip
    case("escapes", rf"\[{RED}:{BLUE}:2\] [fox \(dark\):cat \[light\]:1]", rf"\[{RED}:{BLUE}:2\] fox \(dark\)",
         [(1, [(1, f"[{RED}:{BLUE}:2] fox (dark)"), (END, f"[{RED}:{BLUE}:2] cat [light]")])])  # fmt: skip


def literal_cases():
    # A pipe outside of brackets does not parse: the brackets are attention.
    case("literal-pipe", f"{RED} | [fox:{BLUE}:2]", f"{RED} fox", [(1, [(f"{RED} | ", 1), (f"fox:{BLUE}:2", LESS)])])
    case("literal-weight", f"[{RED}:{BLUE}]", RED, [(1, [(f"{RED}:{BLUE}", LESS)])])
    case("literal-unclosed", f"{RED} [gold king, [fox:{BLUE}:2]", f"{RED} [gold king, fox",
         [(1, [(2, [(f"{RED} ", 1), ("gold king, fox", LESS)]), (END, [(f"{RED} ", 1), (f"gold king, {BLUE}", LESS)])])])  # fmt: skip
    case("literal-lower-case-and", f"{RED} and {BLUE} AND dark castle", RED, [(1, f"{RED} and {BLUE}"), (1, "dark castle")])


def negative_cases():
    plain = dict(neutral_negative="blurry ugly")
    case("negative-editing", RED, RED, negative=f"[blurry ugly:{BLUE}:2]", uncond=[(2, "blurry ugly"), (END, BLUE)], **plain)
    case("negative-alternation", RED, RED, negative=f"[blurry ugly|{BLUE}]", uncond=alternating(["blurry ugly", BLUE], 6), **plain)
    # AND joins only positive prompts, and a number at the end is no weight.
    case("negative-and", RED, RED, negative=f"blurry ugly AND {BLUE} :0.5", **plain)
    case("negative-and-positive-editing", f"[{RED}:{BLUE}:2]", RED, [(1, [(2, RED), (END, BLUE)])],
         negative="[blurry ugly:dark castle at night:0.5]", uncond=[(3, "blurry ugly"), (END, "dark castle at night")],
         **plain)  # fmt: skip


def hires_cases():
    second = dict(width=16, height=16, hiresScale=1.5, hiresSteps=5, hiresStrength=0.8, hiresUpscaler="latent")
    one = lambda text: [(1, text)]  # noqa: E731
    edited = lambda last: [(1, [(last, RED), (END, BLUE)])]  # noqa: E731
    # Steps after the first pass: 6 + 1. Fractions: (1.3 - 1) * 5, rounded down.
    case("hires-step", f"[{RED}:{BLUE}:7]", RED, one(RED), hires=edited(1), **second)
    case("hires-fraction", f"[{RED}:{BLUE}:1.3]", RED, one(RED), hires=edited(1), **second)
    case("hires-first-pass", f"[{RED}:{BLUE}:0.5]", RED, edited(3), hires=one(BLUE), **second)
    case("hires-alternation", f"[{RED}|{BLUE}]", RED, [(1, alternating([RED, BLUE], 6))],
         hires=[(1, alternating([RED, BLUE], 5))], **second)  # fmt: skip
    case("hires-and", f"{RED} AND [{BLUE}:dark castle:7]:0.6", RED, [(1, RED), (0.6, BLUE)],
         hires=[(1, RED), (0.6, [(1, BLUE), (END, "dark castle")])], **second)  # fmt: skip
    case("hires-own-prompt", RED, RED, one(RED), hires=[(1, [(1, BLUE), (END, "dark castle at night")])],
         hiresPrompt=f"[{BLUE}:dark castle at night:1.3]", **second)  # fmt: skip
    CASES[-1]["neutral"] = {"hiresPrompt": BLUE}
    # The second pass has 2 * 3 evaluations after the 2 * 4 of the first: (1.3 - 1) * 6, rounded down.
    case("hires-heun", f"[{RED}:{BLUE}:1.3]", RED, one(RED), hires=edited(1),
         **second | dict(sampler="heun", steps=4, hiresSteps=3))  # fmt: skip
    case("hires-heun-step", f"[{RED}:{BLUE}:9]", RED, one(RED), hires=edited(1),
         **second | dict(sampler="heun", steps=4, hiresSteps=3))  # fmt: skip


def region_cases():
    case("regions-hard", RED, RED, regions=[("left.png", BLUE), ("corner.png", "dark castle at night")])
    case("regions-soft", RED, RED, regions=[("gradient.png", BLUE), ("blob.png", "dark castle at night")], sampler="dpmpp_2m")
    # A region's weight follows its prompt, as that of a part of AND.
    case("regions-of-parts", f"{RED} AND gold king and silver queen:0.6", RED, [(1, RED), (0.6, "gold king and silver queen")],
         regions=[("gradient.png", f"[{BLUE}:dark castle at night:1] AND green tree:-0.3",
                   [(1, [(1, BLUE), (END, "dark castle at night")]), (-0.3, "green tree")])])  # fmt: skip


def masks():
    """Masks of the size of the image; hard ones end between cells of the latent, soft ones overlap to more than 1."""
    left, corner, blob = (Image.new("L", (SIZE, SIZE), 0) for _ in range(3))
    ImageDraw.Draw(left).rectangle([0, 0, 9, SIZE - 1], fill=255)
    ImageDraw.Draw(corner).rectangle([14, 13, SIZE - 1, SIZE - 1], fill=255)
    gradient = Image.fromarray(np.tile(np.linspace(230, 0, SIZE).round().astype(np.uint8), (SIZE, 1)))
    ImageDraw.Draw(blob).ellipse([3, 3, 18, 16], fill=255)
    blurred = blob.filter(ImageFilter.GaussianBlur(2))
    return {"left.png": left, "corner.png": corner, "gradient.png": gradient, "blob.png": blurred}


# -- conditioning ------------------------------------------------------------------------------------------------------


def encode_schedule(model, schedule):
    """[(last evaluation, (context, pooled))]."""
    if isinstance(schedule, str) or isinstance(schedule[0][0], str):
        schedule = [(END, schedule)]
    return [(last, encode_text(model, [(text, 1.0)] if isinstance(text, str) else text)) for last, text in schedule]


def encode_text(model, pieces):
    """The states of all chunks, each with its own mean preserved, and the pooled state of the first."""
    contexts, pooled = [], None
    for index, (encoder, tokenizer) in enumerate(zip(model.text, model.tokenizers)):
        window = encoder.config.max_position_embeddings
        parts = []
        for at_chunk, (row, weights) in enumerate(webui.chunks_of(tokenizer, pieces, window)):
            states, norm, output = webui.hidden_states(encoder, row)
            if index == 1 and at_chunk == 0:
                pooled = output.text_embeds
            z = states[-2] if len(model.text) == 2 else norm(states[-1])
            weighted = z * torch.tensor(weights)[None, :, None]
            parts.append(weighted * (z.mean() / weighted.mean()))
        contexts.append(torch.cat(parts, dim=1))
    return torch.cat(contexts, dim=-1), pooled


def at(schedule, evaluation):
    return next(cond for last, cond in schedule if evaluation <= last)


def repeat_last(cond, length):
    context, pooled = cond
    missing = length - context.shape[1]
    return torch.cat([context, context[:, -1:].repeat(1, missing, 1)], dim=1), pooled


class ScheduledDenoiser(webui.Denoiser):
    """Conditioning by evaluation; a weight is a number or a map [h, w]. `shift` moves the schedule, to see that it shows."""

    def __init__(self, model, parts, negative, cfg, size, shift=0):
        super().__init__(model, None, None, cfg, size)
        self.parts = [(weight, encode_schedule(model, schedule)) for weight, schedule in parts]
        self.negative = encode_schedule(model, negative)
        self.evaluation = shift

    def forward(self, x, sigma, **_):
        sigma = sigma.reshape(-1)[:1]
        conds = [at(schedule, self.evaluation) for _, schedule in self.parts]
        uncond = at(self.negative, self.evaluation)
        self.evaluation += 1
        longest = max(context.shape[1] for context, _ in conds)
        conds = [repeat_last(cond, longest) for cond in conds]
        length = max(longest, uncond[0].shape[1])
        padded = [(webui.pad_with_empty(self.model, context, length, 1), pooled) for context, pooled in (*conds, uncond)]
        *outputs, base = self.predict(x, sigma, padded).split(1)
        return base + sum((out - base) * weight * self.cfg for (weight, _), out in zip(self.parts, outputs))


def region_parts(regions, main, factor):
    """Parts with maps as weights: masks reduced to the latent's size by the mean of each cell, and the rest for the parts of
    the main prompt."""
    images = masks()
    maps = []
    for name, *_ in regions:
        pixels = torch.from_numpy(np.asarray(images[name], dtype=np.float32) / 255)
        height, width = (side // factor for side in pixels.shape)
        maps.append(pixels.reshape(height, factor, width, factor).mean(dim=(1, 3)))
    total = sum(maps)
    shares = [(1 - total.clamp(max=1), main)]
    for one, (_, prompt, *parts) in zip(maps, regions):
        shares.append((one / total.clamp(min=1), parts[0] if parts else [(1, prompt)]))
    return [(share * weight, schedule) for share, parts in shares for weight, schedule in parts]


# -- images ------------------------------------------------------------------------------------------------------------


def load(name):
    model = models.TinyModel(name)
    model.scheduler = model.spec["scheduler"]
    model.tokenizers = [CLIPTokenizer.from_pretrained(PIPELINES / "tokenizer")]
    if len(model.text) == 2:
        model.tokenizers.append(CLIPTokenizer.from_pretrained(PIPELINES / "tokenizer_2"))
    model.factor = 2 ** (len(model.vae.config.block_out_channels) - 1)
    return model


def evenly(denoiser, steps):
    """Evenly spaced sigmas, karras with rho 1: every evaluation has a large influence on the image."""
    low, high = denoiser.sigmas[0].item(), denoiser.sigmas[-1].item()
    return webui.sampling.get_sigmas_karras(steps, low, high, rho=1)


def generate(model, spec, shift=0):
    o = spec["options"]
    work = pipelines.Work(model, dict(options=o, segments=[], negative=[]), o["seed"])
    size = (o["height"], o["width"])
    parts = spec["positive"]
    if spec["regions"]:
        parts = region_parts(spec["regions"], parts, model.factor)
    denoiser = ScheduledDenoiser(model, parts, spec["uncond"], o["cfg"], size, shift)
    noise = work.noise([side // model.factor for side in size])
    sigmas = evenly(denoiser, o["steps"])
    latent = work.sample(denoiser, noise.next()[None] * sigmas[0], sigmas, noise)
    if "hiresScale" in o:
        large = [round(side * o["hiresScale"]) for side in size]
        cells = [side // model.factor for side in large]
        latent = torch.nn.functional.interpolate(latent, size=cells, mode="bilinear", antialias=False)
        second = ScheduledDenoiser(model, spec["hires"], spec["uncond"], o["cfg"], large, shift)
        noise, total = work.noise(cells), int(o["hiresSteps"] / o["hiresStrength"])
        sigmas = evenly(second, total)[total - o["hiresSteps"] :]
        latent = work.sample(second, latent + noise.next()[None] * sigmas[0], sigmas, noise)
    return webui.to_pixels(webui.decode(model, latent))


def difference(a, b):
    return np.abs(a.astype(int) - b.astype(int))


def neutral_of(spec):
    """The case with its neutral prompts; none of them has syntax other than attention."""
    neutral = spec["neutral"]
    text = lambda prompt: NEUTRAL_PIECES.get(prompt, prompt)  # noqa: E731
    prompt, negative = neutral.get("prompt", spec["options"]["prompt"]), neutral.get("negative")
    second = neutral.get("hiresPrompt") or spec["options"].get("hiresPrompt") or prompt
    return spec | dict(options=spec["options"] | {"prompt": prompt}, positive=[(1, text(prompt))], hires=[(1, text(second))],
                       uncond=negative or spec["uncond"], regions=None)  # fmt: skip


# Pieces of the neutral prompts that have attention syntax.
NEUTRAL_PIECES = {
    "a (red apple:1.5) on the road": [("a ", 1), ("red apple", 1.5), (" on the road", 1)],
    "a (apple:1.4) at night": [("a ", 1), ("apple", 1.4), (" at night", 1)],
    f"{RED} BREAK {BLUE}": [(RED, 1), BREAK, (BLUE, 1)],
    f"[{RED}": [(RED, LESS)],
    f"{RED} [gold king, fox": [(f"{RED} ", 1), ("gold king, fox", LESS)],
    rf"\[{RED}:{BLUE}:2\] fox \(dark\)": f"[{RED}:{BLUE}:2] fox (dark)",
}


def changes(spec):
    """True if a schedule of the case has more than one text."""
    inside = [part for _, _, *parts in spec["regions"] or [] for part in (parts[0] if parts else [])]
    schedules = [schedule for _, schedule in (*spec["positive"], *spec["hires"], *inside)] + [spec["uncond"]]
    return any(not isinstance(one, str) and not isinstance(one[0][0], str) and len(one) > 1 for one in schedules)


def write_case(model, spec):
    pixels = generate(model, spec)
    effect = difference(pixels, generate(model, neutral_of(spec))).mean()
    shifted = min(difference(pixels, generate(model, spec, shift)).max() for shift in (-1, 1)) if changes(spec) else None
    print(f"{spec['name']:32} effect {effect:5.1f}  shifted {shifted}", flush=True)
    assert effect >= 8, "an image that the construct hardly changes proves nothing"
    assert shifted is None or shifted > 6, "a schedule that may be off by one evaluation proves nothing"
    Image.fromarray(pixels).save(OUT / f"{spec['name']}.png", optimize=True)
    record = dict(name=spec["name"], model=spec["model"], options=spec["options"], neutral=spec["neutral"])
    if spec["regions"]:
        record["regions"] = [dict(mask=mask, prompt=prompt) for mask, prompt, *_ in spec["regions"]]
    return record


def main():
    warnings.filterwarnings("ignore")
    torch.set_grad_enabled(False)
    wanted = sys.argv[1:]
    for add in (editing_cases, alternation_cases, and_cases, attention_cases, literal_cases, negative_cases, hires_cases,
                region_cases):  # fmt: skip
        add()
    if not wanted:
        shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True, exist_ok=True)
    for name, image in masks().items():
        image.save(OUT / name, optimize=True)
    loaded = {name: load(name) for name in ("sd1", "sdxl")}
    chosen = [spec for spec in CASES if not wanted or any(part in spec["name"] for part in wanted)]
    records = [write_case(loaded[spec["model"]], spec) for spec in chosen]
    if not wanted:
        (OUT / "cases.json").write_text("[\n" + ",\n".join(json.dumps(record) for record in records) + "\n]\n")


if __name__ == "__main__":
    main()
