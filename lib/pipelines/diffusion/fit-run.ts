/** Checks before minutes go into a call that its runs fit into memory, once the modules are loaded. */
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import { checkFit, type Need } from '../../modules/fit.js';
import type { BranchSpec, LatentShape } from '../../sampling/network.js';
import { sequentialGuidance } from './denoising/sequential-guidance.js';

/** A pass of the sampler. */
export interface RunSize {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly branches: readonly BranchSpec[];
}

/**
 * @param passes of the call
 * @param batch images computed together
 * @param patches name of the patch set that the network runs with
 * @throws DOES_NOT_FIT, and what loading the modules throws
 */
export async function checkRunFits(
  loaded: LoadedModel,
  passes: readonly RunSize[],
  batch: number,
  signal: AbortSignal | undefined,
  patches?: string,
): Promise<void> {
  const model = await loaded.denoiser(signal, patches);
  const network = model.sequentialGuidance ? sequentialGuidance(model.network) : model.network;
  const codec = await loaded.codec(signal);
  const { downsampleFactor, latentChannels } = loaded.facts;
  const buffers = async ({ width, height, branches }: RunSize): Promise<Need[]> => {
    const shape: LatentShape = [batch, latentChannels, height / downsampleFactor, width / downsampleFactor];
    const { run, session } = await network.bytes(branches, shape, signal);
    const denoising = { label: 'U-Net', bytes: run };
    const decoding = { label: 'decoder', bytes: await codec.decodeBytes(height, width, signal) };
    const kept: Need = { label: 'texts', bytes: session };
    // A lean network gives its buffers back before the decoder takes its own.
    if (!model.sequentialGuidance) return [denoising, decoding, kept];
    return [denoising.bytes > decoding.bytes ? denoising : decoding, kept];
  };
  const where = model.memory();
  if (where === undefined) return;
  // What modules hold of earlier runs goes when they run anew, and so counts as there.
  const held = where.compute + (codec.memory()?.compute ?? 0);
  for (const pass of passes) {
    const needs = await buffers(pass);
    const available = loaded.available(where);
    checkFit(
      `A picture of ${pass.width} x ${pass.height}`,
      needs,
      available === undefined ? undefined : available + held,
      `take a smaller size or batch${model.sequentialGuidance ? '' : ", or memory 'lean'"}, or free some memory`,
    );
  }
}
