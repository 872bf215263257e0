/** Whether a call's runs fit into memory: asked once the modules are loaded, before minutes go into the first of them. */
import { checkFit, type Need } from '../../modules/fit.js';
import type { Engine } from '../model/loaded-model.js';
import { keptBytes } from './cross-attention-cache.js';

export interface RunSize {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

/**
 * @param sizes of the call's passes
 * @param evaluation of the U-Net: pictures times conditions, texts whose keys and values are kept, and tokens of each
 * @throws DOES_NOT_FIT, and what loading the modules throws
 */
export async function checkRunFits(
  engine: Engine,
  sizes: readonly RunSize[],
  { rows, texts, length }: { readonly rows: number; readonly texts: number; readonly length: number },
  signal: AbortSignal | undefined,
): Promise<void> {
  const { unet, oneByOne } = await engine.denoiser(signal);
  const codec = await engine.codec(signal);
  const { factor } = engine.facts;
  const kept: Need = { label: 'texts', bytes: keptBytes(unet, texts, length, engine.lean) };
  const buffers = async ({ width, height }: RunSize): Promise<Need[]> => {
    const latent = { batch: rows, height: height / factor, width: width / factor, length };
    const denoising = { label: 'U-Net', bytes: await unet.forwardBytes(latent, signal) };
    const decoding = { label: 'decoder', bytes: await codec.decodeBytes(height, width, signal) };
    // A lean U-Net gives its buffers back before the decoder takes its own.
    return [
      ...(oneByOne ? [denoising.bytes > decoding.bytes ? denoising : decoding] : [denoising, decoding]),
      kept,
    ];
  };
  // What modules hold of earlier runs goes when they run anew, and so counts as there.
  const held = unet.memory().compute + (codec.memory()?.compute ?? 0);
  for (const size of sizes) {
    const needs = await buffers(size);
    const available = engine.available(unet.memory());
    checkFit(
      `A picture of ${size.width} x ${size.height}`,
      needs,
      available === undefined ? undefined : available + held,
      `take a smaller size or batch${oneByOne ? '' : ", or memory 'lean'"}, or free some memory`,
    );
  }
}
