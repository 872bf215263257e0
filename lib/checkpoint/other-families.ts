import { SafelightError } from '../errors.js';
import type { TensorIndex } from './weights/tensor-index.js';

/** Tensor names that identify unsupported kinds of files. */
const SIGNS: readonly (readonly [sign: RegExp, kind: string])[] = [
  [/^(model\.diffusion_model\.)?double_(stream_)?(blocks|layers)\./, 'a Flux-like model'],
  [/^(model\.diffusion_model\.)?joint_blocks\./, 'Stable Diffusion 3'],
  [/^(model\.diffusion_model\.)?(cap_embedder|layers\.\d+\.adaLN_modulation)\b/, 'a Lumina-like model'],
  [/^control_model\.|^(input_hint_block|controlnet_cond_embedding|zero_convs)\./, 'a ControlNet'],
  [/^lora_(unet|te\d?)_|\.lora_(A|B|up|down)\./, 'a LoRA'],
  [/^edm_(mean|std)$|^edm_vpred\./, 'an EDM model (Playground 2.5)'],
];

/** @throws UNSUPPORTED_MODEL naming the kind of file, if its tensor names identify an unsupported one */
export function refuseOtherFamilies(tensors: TensorIndex, path: string): void {
  const kind = otherFamily(tensors);
  if (kind !== null) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} is ${kind}, which Safelight does not support as a model; use a checkpoint of SD1, SD2 or SDXL`,
    );
  }
}

/** Returns the kind of an unsupported file, judged by its tensor names; null if none is recognized. */
export function otherFamily(tensors: TensorIndex): string | null {
  for (const name of tensors.keys()) {
    for (const [sign, kind] of SIGNS) if (sign.test(name)) return kind;
  }
  return null;
}
