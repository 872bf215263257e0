/**
 * Step caching (DeepCache: Ma et al. 2023, arXiv:2312.00858): what the deep part of the U-Net gives changes little from one evaluation
 * to the next, so it is computed at every `interval`th only; in between the shallow part runs alone and goes on from what was kept.
 */
import { invalidOption } from '../../errors.js';
import { joinBatches } from '../../families/shared/latents.js';
import type { ForwardOutput, UNet, UNetInputs, UNetOutput } from '../../modules/unet.js';
import type { Condition } from '../../sampling/guidance.js';
import type { Tensor } from '../../tensor/tensor.js';
import * as check from '../check.js';

export interface DeepCacheOptions {
  /** Every so many evaluations of the U-Net one is whole, 1 (all: no caching) to 1000; default 3. */
  readonly interval?: number;
  /**
   * How much runs in between, numbered as in the DeepCache package: three branches a level from the finest on; default 0, the least.
   */
  readonly branch?: number;
}

export interface DeepCacheSettings {
  readonly interval: number;
  readonly branch: number;
}

const KEYS: ReadonlySet<string> = new Set(['interval', 'branch']);
const DEFAULT_INTERVAL = 3;
/** A U-Net has at most 12 levels; how many this one has is known once it is loaded. */
const MAX_BRANCH = 35;

/** @throws INVALID_OPTION naming the option */
export function resolveDeepCache(options: DeepCacheOptions | undefined): DeepCacheSettings | undefined {
  if (options === undefined) return undefined;
  check.knownKeys('deepCache', options, KEYS);
  return {
    interval: check.integer('deepCache.interval', options.interval ?? DEFAULT_INTERVAL, 1, 1000),
    branch: check.integer('deepCache.branch', options.branch ?? 0, 0, MAX_BRANCH),
  };
}

/** The U-Net of one pass of the sampler: whole, or its shallow part with what an earlier evaluation of the pass has left. */
export class StepCache {
  /** `[pictures, C', h', w']` of each condition, as the last whole evaluation left them. */
  private kept = new Map<Condition, Tensor>();
  /** Since the last whole one, itself counted. */
  private evaluations = 0;
  /** Conditions that have run in this evaluation: one by one, or all at once. */
  private wholeNow = true;

  constructor(
    private readonly unet: UNet,
    private readonly settings: DeepCacheSettings,
  ) {
    const branches = 3 * unet.config.block_out_channels.length;
    if (settings.branch >= branches) {
      throw invalidOption('deepCache.branch', `integer between 0 and ${branches - 1}`, settings.branch);
    }
  }

  /**
   * Before each evaluation of the sampler's: decides whether it is whole. One that needs a condition that was left out of the last whole
   * evaluation (guidance that begins within an interval) is whole whatever the count.
   */
  begin(conditions: readonly Condition[]): void {
    this.wholeNow =
      this.evaluations % this.settings.interval === 0 || !conditions.every((one) => this.kept.has(one));
    if (this.wholeNow) {
      this.kept = new Map();
      this.evaluations = 0;
    }
    this.evaluations++;
  }

  /** These conditions in one batch: all pictures of the first, then of the next. */
  async run(
    inputs: UNetInputs,
    conditions: readonly Condition[],
    signal: AbortSignal | undefined,
  ): Promise<UNetOutput> {
    const { branch } = this.settings;
    if (!this.wholeNow) {
      const deep = joinBatches(conditions.map((condition) => this.kept.get(condition)!));
      return this.unet.shallow(inputs, deep, branch, { signal });
    }
    const output = await this.unet.forward(inputs, { branch, signal });
    this.keep(output, conditions);
    return output;
  }

  private keep({ deep }: ForwardOutput, conditions: readonly Condition[]): void {
    const pictures = deep!.shape[0]! / conditions.length;
    conditions.forEach((condition, i) => {
      this.kept.set(condition, deep!.slice([i * pictures, (i + 1) * pictures]));
    });
  }
}
