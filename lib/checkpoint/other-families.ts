import { SafelightError } from '../errors.js';
import type { TensorIndex } from './weights/tensor-index.js';

/** Names that only other kinds of files have. */
const SIGNS: readonly (readonly [sign: RegExp, what: string])[] = [
  [/^(model\.diffusion_model\.)?double_(stream_)?(blocks|layers)\./, 'a Flux-like model'],
  [/^(model\.diffusion_model\.)?joint_blocks\./, 'Stable Diffusion 3'],
  [/^(model\.diffusion_model\.)?(cap_embedder|layers\.\d+\.adaLN_modulation)\b/, 'a Lumina-like model'],
  [/^control_model\.|^(input_hint_block|controlnet_cond_embedding|zero_convs)\./, 'a ControlNet'],
  [/^lora_(unet|te\d?)_|\.lora_(A|B|up|down)\./, 'a LoRA'],
  [/^edm_(mean|std)$|^edm_vpred\./, 'a model of the EDM kind (Playground 2.5)'],
];

/** @throws UNSUPPORTED_MODEL saying what the file is instead, as far as its names tell */
export function refuseOtherFamilies(tensors: TensorIndex, path: string): void {
  const what = otherFamily(tensors);
  if (what !== null) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} is ${what}, which Safelight does not run as a model; take a checkpoint of SD1, SD2 or SDXL`,
    );
  }
}

/** What the file is if it is none of Stable Diffusion's checkpoints; null if nothing says so. */
export function otherFamily(tensors: TensorIndex): string | null {
  for (const name of tensors.keys()) {
    for (const [sign, what] of SIGNS) if (sign.test(name)) return what;
  }
  return null;
}
