/**
 * Step caching: features of a network change little between evaluations, so most evaluations skip the layers before a
 * cut point and continue with features of earlier ones. Methods differ in the cut point, in the evaluations that are
 * complete, and in the features that the others continue with.
 */
import { invalidOption } from '../../../../errors.js';
import type { StepCacheSettings } from '../../../../options/settings/step-cache.js';
import type { CutPoint, DiffusionNetwork, LatentShape } from '../../../../sampling/network.js';
import type { CachedSession } from './cached-session.js';
import { DeepCacheSession } from './deep-cache.js';
import { FirstBlockSession } from './first-block.js';
import { MAX_STATES, SpectrumSession } from './spectrum.js';
import { TGateSession } from './t-gate.js';

/**
 * Wraps a network with step caching. The cache is per session.
 * @param sigmas noise levels of the pass
 * @throws INVALID_OPTION if the network does not have the method's cut point
 */
export function stepCached(
  network: DiffusionNetwork,
  settings: StepCacheSettings,
  sigmas: readonly number[],
): DiffusionNetwork {
  const point = cutPointOf(network.cutPoints, settings);
  const open: DiffusionNetwork['prepare'] = (branches, shape): CachedSession => {
    const session = network.prepare(branches, shape);
    switch (settings.method) {
      case 'deepcache':
        return new DeepCacheSession(session, point, settings.interval);
      case 'tgate':
        return new TGateSession(session, point, branches, gateSigma(sigmas, settings.fullShare));
      case 'spectrum':
        return new SpectrumSession(session, point, settings.growth);
      case 'first-block':
        return new FirstBlockSession(session, point, settings.threshold);
    }
  };
  return {
    inputs: network.inputs,
    cutPoints: [],
    prepare: open,
    bytes: (branches, shape, signal) => network.bytes(branches, shape, signal),
    nodes: (shape, windows) => network.nodes(shape, windows),
  };
}

/**
 * Returns the bytes of the states that a pass keeps.
 * @throws INVALID_OPTION if the network does not have the method's cut point
 */
export function stepCacheBytes(
  points: readonly CutPoint[],
  settings: StepCacheSettings,
  branches: number,
  shape: LatentShape,
): number {
  // First-block caching also keeps the first block's output and residual, and compares with new ones.
  const states = { deepcache: 1, tgate: 1, spectrum: MAX_STATES, 'first-block': 5 }[settings.method];
  return states * branches * cutPointOf(points, settings).bytes(shape);
}

/** Returns the noise level of the last step that attends to the prompt. */
function gateSigma(sigmas: readonly number[], fullShare: number): number {
  const steps = sigmas.length - 1;
  return sigmas[Math.max(1, Math.round(steps * fullShare)) - 1]!;
}

function cutPointOf(points: readonly CutPoint[], settings: StepCacheSettings): CutPoint {
  const { method } = settings;
  const kind = method === 'deepcache' ? 'deep' : method === 'tgate' ? 'cross-attention' : 'end';
  const candidates = points.filter((point) => point.kind === kind);
  const point = candidates[method === 'deepcache' ? settings.branch : 0];
  if (point) return point;
  if (method !== 'deepcache' || candidates.length === 0)
    throw invalidOption('stepCache', 'none (the model does not support this method)', method);
  throw invalidOption(
    'deepCache.branch',
    `an integer between 0 and ${candidates.length - 1}`,
    settings.branch,
  );
}
