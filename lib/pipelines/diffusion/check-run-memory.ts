/** Checks before sampling that the runs of a call fit in memory. */
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import { checkFit, type Need } from '../../modules/memory-fit.js';
import type { StepCacheSettings } from '../../options/settings/step-cache.js';
import type { BranchPlan } from '../../sampling/branch-plan.js';
import type { BranchSpec, LatentShape } from '../../sampling/network.js';
import { sequentialGuidance } from './denoising/sequential-guidance.js';
import { stepCacheBytes } from './denoising/step-caching/step-cache.js';

/** Size of a sampling pass. */
export interface RunSize {
  /** In pixels. */
  readonly width: number;
  readonly height: number;
  readonly plan: BranchPlan;
  readonly stepCache?: StepCacheSettings | undefined;
}

/**
 * Loads the U-Net and the decoder and checks that each pass fits in memory.
 * @param batch images per batch
 * @param patches name of the patch set to apply
 * @throws DOES_NOT_FIT, and errors of loading the modules
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
  const buffers = async ({ width, height, plan, stepCache }: RunSize): Promise<Need[]> => {
    const shape: LatentShape = [batch, latentChannels, height / downsampleFactor, width / downsampleFactor];
    const { session } = await network.bytes(plan.branches, shape, signal);
    const runs = await Promise.all(
      distinctPhases(plan).map((branches) => network.bytes(branches, shape, signal)),
    );
    const run = Math.max(...runs.map((bytes) => bytes.run));
    const denoising = { label: 'U-Net', bytes: run };
    const decoding = { label: 'decoder', bytes: await codec.decodeBytes(height, width, signal) };
    const cached: Need[] = [{ label: 'cross-attention cache', bytes: session }];
    if (stepCache) {
      const branches = Math.max(...plan.phases.map(({ length }) => length));
      const bytes = stepCacheBytes(network.cutPoints, stepCache, branches, shape);
      cached.push({ label: 'step cache', bytes });
    }
    // A lean network frees its buffers before the decoder allocates its own.
    if (!model.sequentialGuidance) return [denoising, decoding, ...cached];
    return [denoising.bytes > decoding.bytes ? denoising : decoding, ...cached];
  };
  const where = model.memory();
  if (where === undefined) return;
  // Buffers of earlier runs are reused or freed by the next run, so they count as available.
  const reusable = where.compute + (codec.memory()?.compute ?? 0);
  for (const pass of passes) {
    const needs = await buffers(pass);
    const available = loaded.available(where);
    checkFit(
      `An image of ${pass.width} x ${pass.height}`,
      needs,
      available === undefined ? undefined : available + reusable,
      `use a smaller size or batch${model.sequentialGuidance ? '' : ", or memory 'lean'"}, or free memory`,
    );
  }
}

/** Returns the branches of each phase, without phases whose conditioning has the shapes of an earlier one. */
function distinctPhases({ branches, phases }: BranchPlan): BranchSpec[][] {
  const distinct = new Map<string, BranchSpec[]>();
  for (const phase of phases) {
    const ofPhase = phase.map((i) => branches[i]!);
    const shapes = ofPhase.map(({ conditioning }) =>
      Object.entries(conditioning.tensors).map(([name, { shape }]) => [name, ...shape]),
    );
    distinct.set(JSON.stringify(shapes), ofPhase);
  }
  return [...distinct.values()];
}
