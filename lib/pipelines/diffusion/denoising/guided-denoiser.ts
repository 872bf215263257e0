/** Denoiser of a sampling pass: evaluates the network with guidance and maps (x, sigma) to x0. */
import { combineSignals, invalidOption, throwIfAborted } from '../../../errors.js';
import type { DenoiseModel } from '../../../families/shared/denoise-model.js';
import { GuidanceProjection } from '../../../sampling/adaptive-projection.js';
import { type BranchPlan, planBranches } from '../../../sampling/branch-plan.js';
import { createDenoise } from '../../../sampling/denoiser.js';
import { activeBranches, combinePredictions } from '../../../sampling/guidance.js';
import {
  type BranchSpec,
  type DiffusionNetwork,
  groupByShape,
  type LatentShape,
  type NetworkChanges,
  type NetworkRequest,
  type NetworkResult,
  type NetworkSession,
} from '../../../sampling/network.js';
import { scalings } from '../../../sampling/prediction.js';
import { degradedLatents } from '../../../sampling/self-attention-guidance.js';
import type { Denoise, Latent } from '../../../sampling/types.js';
import { throwIfNotFinite } from '../../../tensor/finite.js';
import { Tensor } from '../../../tensor/tensor.js';
import type { DenoiseRun } from './denoise-run.js';
import type { DenoiseStep } from './denoise-step.js';
import { editedNetwork } from './edited-network.js';
import { sequentialGuidance } from './sequential-guidance.js';
import { stepCached } from './step-caching/step-cache.js';

/** Evaluates the network for one pass and keeps the results of the last evaluation. */
export class GuidedDenoiser {
  /** Completed evaluations. */
  evaluations = 0;
  /** Tapped values of the last evaluation, by node name. */
  taps: Readonly<Record<string, Tensor>> = {};
  /** Predictions of the branches in the last evaluation and the guided prediction, with the option `predictions`. */
  predicted: Pick<DenoiseStep, 'predictions' | 'guided'> = {};
  private x0: Latent | undefined;
  private active: readonly BranchSpec[] = [];
  private readonly plan: BranchPlan;
  /** All branches of the plan, with the additional input channels. */
  private readonly branches: readonly BranchSpec[];
  private readonly projection: GuidanceProjection | undefined;
  private readonly shape: LatentShape;
  private readonly session: NetworkSession;
  private readonly evaluate: Denoise;
  /** Aborted with `signal` or `finish`. */
  private readonly stop: AbortSignal | undefined;

  constructor(
    private readonly model: DenoiseModel,
    private readonly run: DenoiseRun,
  ) {
    const { latent, extra } = run;
    const [images = 0, channels = 0, height = 0, width = 0] = latent.shape;
    this.shape = [images, channels, height, width];
    this.stop = combineSignals(run.signal, run.finish);
    this.plan = planBranches(run.conditioning, run.guidance);
    const { projection, scale } = run.guidance;
    this.projection = projection && new GuidanceProjection(projection, scale);
    this.branches = this.plan.branches.map((branch) => withConcat(branch, extra));
    const changed = changedNetwork(model.network, run.changes);
    let network = model.sequentialGuidance ? sequentialGuidance(changed) : changed;
    if (run.edit) network = editedNetwork(network, run.edit);
    const { selfAttention, perturbation } = run.guidance;
    if (selfAttention) checkSelfAttention(changed, 'sag', selfAttention);
    if (perturbation) checkSelfAttention(changed, 'pag', perturbation);
    if (run.stepCache) network = stepCached(network, run.stepCache, run.sigmas);
    this.session = run.sessions.replace(network.prepare(this.branches, this.shape));
    this.evaluate = createDenoise(run.noiseSchedule, model.prediction, (scaled, t, sigma) =>
      this.predict(scaled, t, sigma),
    );
  }

  /** Names of the branches of the last evaluation, in the order of the rows of its taps. */
  get conditions(): readonly string[] {
    return this.active.map(({ name }) => name);
  }

  /** Predicts x0. @throws NOT_FINITE, INVALID_OPTION for an unknown tap, OUT_OF_MEMORY, ABORTED, DISPOSED */
  readonly denoise: Denoise = async (x, sigma) => {
    const { model, run } = this;
    throwIfAborted(this.stop);
    throwIfNotFinite(x, 'The latent');
    const x0 = await this.evaluate(x, sigma);
    if (model.clip !== undefined) clamp(x0, model.clip);
    if (run.keep) keepOutside(x0, run.keep.latent.data, run.keep.mask);
    this.x0 = x0;
    this.evaluations++;
    return x0;
  };

  /**
   * Returns the best known clean latent: the last x0, otherwise `before`, otherwise the scaled noise.
   * @throws NOT_FINITE
   */
  seen(): Tensor {
    const { latent, before, sigmas, noiseSchedule } = this.run;
    const [sigma = 0] = sigmas;
    if (!this.x0 && before) return before;
    // Noise scaled to the variance of latents, which A1111 also decodes.
    const scale = 1 / Math.hypot(noiseSchedule.alpha(sigma), sigma);
    const x0 = this.x0 ?? latent.data.map((value) => value * scale);
    throwIfNotFinite(x0, 'The latent');
    return Tensor.from(x0, latent.shape);
  }

  /** Returns the guided prediction. Branches whose conditioning differs in shape run in separate batches. */
  private async predict(scaled: Latent, timestep: number, sigma: number): Promise<Latent> {
    const { guidance, taps } = this.run;
    const { stop: signal } = this;
    const latents = Tensor.from(scaled, this.shape);
    const evaluation = { sigma, index: this.evaluations };
    const candidates = this.plan.at(this.evaluations);
    const active = activeBranches(this.branches, candidates, guidance.interval, sigma);
    const groups = groupByShape(this.branches, active);
    const request = { latents, timestep, evaluation, signal };
    const attention = (guidance.selfAttention ?? 0) > 0;
    const results: NetworkResult[] = [];
    for (const branches of groups)
      results.push(await this.session.run({ ...request, branches, taps, attention }));
    this.active = groups.flat().map((i) => this.branches[i]!);
    this.taps = joinTaps(
      results.map((result) => result.taps),
      groups.map((group) => group.map((i) => this.branches[i]!.name).join(', ')),
    );
    const [only] = results;
    const predictions =
      results.length === 1 ? only!.prediction : Tensor.cat(results.map(({ prediction }) => prediction));
    const combine = this.model.guide ?? combinePredictions;
    const { projection } = this;
    const { rescale, perturbation } = guidance;
    const options = { rescale, projection, perturbation };
    const combined = combine(this.active, predictions.data, this.shape[0], options);
    const guided = await this.withSelfAttention(combined, request, groups, results);
    if (this.run.predictions) this.predicted = this.predictedOf(predictions, guided);
    return guided;
  }

  /**
   * Adds self-attention guidance: the difference of a branch's prediction and the one for its latents, degraded where
   * it attends. The branch is the base, or the first positive one without guidance.
   */
  private async withSelfAttention(
    guided: Latent,
    request: Omit<NetworkRequest, 'branches'> & { readonly latents: Tensor },
    groups: readonly (readonly number[])[],
    results: readonly NetworkResult[],
  ): Promise<Latent> {
    const { model, run } = this;
    const { selfAttention: scale = 0 } = run.guidance;
    if (scale === 0) return guided;
    const active = groups.flat();
    const isOrdinary = (i: number): boolean => !this.branches[i]!.perturbed;
    const branch = active.find((i) => this.branches[i]!.base) ?? active.find(isOrdinary)!;
    const group = groups.findIndex((branches) => branches.includes(branch));
    const [images] = this.shape;
    const row = groups[group]!.indexOf(branch) * images;
    const { prediction, attention } = results[group]!;
    const own = prediction.slice([row, row + images]);
    const { sigma } = request.evaluation;
    const latents = degradedLatents(
      request.latents,
      own,
      attention!.slice([row, row + images]),
      scalings(model.prediction, sigma),
      run.noiseSchedule.alpha(sigma),
    );
    const degraded = await this.session.run({ ...request, latents, branches: [branch] });
    return guided.map((value, i) => value + scale * (own.data[i]! - degraded.prediction.data[i]!));
  }

  private predictedOf(predictions: Tensor, guided: Latent): GuidedDenoiser['predicted'] {
    const [images] = this.shape;
    const rows = (i: number): Tensor => predictions.slice([i * images, (i + 1) * images]);
    return {
      predictions: Object.fromEntries(this.active.map(({ name }, i) => [name, rows(i)])),
      guided: Tensor.from(guided.slice(), this.shape),
    };
  }
}

/** @throws INVALID_OPTION for changes that the network does not support */
function changedNetwork(network: DiffusionNetwork, changes: NetworkChanges | undefined): DiffusionNetwork {
  const [first] = Object.entries(changes ?? {});
  if (changes === undefined || first === undefined) return network;
  if (network.changed) return network.changed(changes);
  throw invalidOption(first[0], 'undefined (the model does not support this change)', first[1]);
}

/** @throws INVALID_OPTION if the network has no self-attention in its mid block, which the option needs */
function checkSelfAttention({ hasSelfAttention }: DiffusionNetwork, option: string, scale: number): void {
  if (!hasSelfAttention)
    throw invalidOption(option, 'undefined (the model has no transformer in its mid block)', scale);
}

/** Adds the additional input channels to a branch's conditioning. */
function withConcat(branch: BranchSpec, extra: Tensor | undefined): BranchSpec {
  if (!extra) return branch;
  const { tensors } = branch.conditioning;
  return { ...branch, conditioning: { tensors: { ...tensors, concat: extra } } };
}

type Taps = Readonly<Record<string, Tensor>>;

/**
 * Concatenates the tapped values of several batches per node. If their shapes differ, returns one tensor per batch,
 * with the names of its branches appended to the name of the node.
 */
function joinTaps(taps: readonly Taps[], labels: readonly string[]): Taps {
  if (taps.length === 1) return taps[0]!;
  const joined: Record<string, Tensor> = {};
  for (const name of Object.keys(taps[0] ?? {})) {
    const tensors = taps.map((values) => values[name]!);
    const shapes = new Set(tensors.map(({ shape }) => shape.slice(1).join()));
    if (shapes.size === 1) joined[name] = Tensor.cat(tensors);
    else
      tensors.forEach((tensor, i) => {
        joined[`${name} (${labels[i]})`] = tensor;
      });
  }
  return joined;
}

/** Clamps values to [-limit, limit], in place. */
function clamp(x: Latent, limit: number): void {
  for (let i = 0; i < x.length; i++) x[i] = Math.min(limit, Math.max(-limit, x[i]!));
}

/** x * mask + kept * (1 - mask), in place; the mask is the same for every image and channel. */
export function keepOutside(x: Latent, kept: Latent, mask: Float32Array): void {
  for (let i = 0; i < x.length; i++) {
    const m = mask[i % mask.length]!;
    x[i] = x[i]! * m + kept[i]! * (1 - m);
  }
}
