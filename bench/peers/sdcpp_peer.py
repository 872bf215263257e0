"""stable-diffusion.cpp through its Python package, with the checkpoint's weights (f16). The package cannot run a single module, so an
image is generated without guidance: a U-Net evaluation is the time between two steps, a decode that from the last step to the image."""

import os
import time

from stable_diffusion_cpp import StableDiffusion

import worker

STEPS = 3


def load(cell):
    model = StableDiffusion(
        model_path=os.environ["PEERS_CHECKPOINT"],
        n_threads=cell["threads"],
        rng_type="cpu",
        verbose=False,
        vae_decode_only=True,
    )
    side = 8 * cell["side"]

    def run():
        ends = []

        def progress(step, steps, seconds):
            ends.append((step, time.perf_counter()))

        model.generate_image(
            prompt="", width=side, height=side, sample_steps=STEPS, cfg_scale=1.0, seed=1, sample_method="euler",
            progress_callback=progress,
        )  # fmt: skip
        now = time.perf_counter()
        times = [at for step, at in ends if step > 0]
        if cell["module"] == "decoder":
            return now - times[-1]
        return min(b - a for a, b in zip(times, times[1:]))

    return run


worker.serve(load)
