/** The options of `generate` and how they become the API's. */

import { type Command, Option } from 'commander';
import { type LoraOption, parseLora } from '../adapters/lora-options.js';
import { type Emphasis, emphases } from '../conditioning/emphasis.js';
import { resizeModes } from '../image/fit.js';
import type { DeepCacheOptions } from '../pipelines/deep-cache-options.js';
import { type HiresOptions, hiresUpscalers } from '../pipelines/hires-options.js';
import { MAX_SIDE, MAX_STEPS } from '../pipelines/limits.js';
import { maskFills } from '../pipelines/mask-options.js';
import type { GenerateOptions } from '../pipelines/options.js';
import { given } from './model-options.js';
import { decimal, dimensions, pair, seedNumber, wholeNumber } from './numbers.js';

/** As commander gives them: camel case of the options' names. */
export type GenerateFlags = Omit<
  GenerateOptions,
  'prompt' | 'emphasis' | 'init' | 'mask' | 'hires' | 'deepCache' | 'loras' | 'taps' | 'signal' | 'onProgress'
> & {
  readonly emphasis?: string;
  readonly init?: string;
  readonly mask?: string;
  readonly hires?: boolean;
  readonly hiresScale?: number;
  readonly hiresWidth?: number;
  readonly hiresHeight?: number;
  readonly hiresSteps?: number;
  readonly hiresStrength?: number;
  readonly hiresUpscaler?: NonNullable<HiresOptions['upscaler']>;
  readonly hiresPrompt?: string;
  readonly hiresNegative?: string;
  readonly hiresSampler?: string;
  readonly hiresSchedule?: string;
  readonly deepcacheInterval?: number;
  readonly deepcacheBranch?: number;
  readonly lora?: readonly LoraOption[];
};

export function addGenerateOptions(command: Command): void {
  addPictureOptions(command);
  addImageOptions(command);
  addSamplingOptions(command);
  addAdapterOptions(command);
}

function addPictureOptions(command: Command): void {
  command
    .optionsGroup('Picture:')
    .option('-n, --negative <text>', 'what not to draw')
    .option('--class <n>', 'which class to draw, of models that know classes', wholeNumber('--class', 0))
    .option(
      '-W, --width <n>',
      "pixels; default the model's, or those of --init, at most the model's pixel count",
      wholeNumber('--width', 1, MAX_SIDE),
    )
    .option('-H, --height <n>', 'likewise', wholeNumber('--height', 1, MAX_SIDE))
    .option('-s, --seed <n>', 'default -1: random, printed', seedNumber('--seed'))
    .option('--subseed <n>', 'seed of a variation; default -1: random', seedNumber('--subseed'))
    .option(
      '--subseed-strength <n>',
      'how far to go to it, 0 (default) to 1; its seed counts up then',
      decimal('--subseed-strength', 0, 1),
    )
    .option('--seed-resize-from <WxH>', 'resemble the picture of this size', dimensions('--seed-resize-from'))
    .option('-c, --count <n>', 'pictures, seeds counting up; default 1', wholeNumber('--count', 1, 1000))
    .option('--batch <n>', 'pictures computed together; default up to 4', wholeNumber('--batch', 1, 64))
    .option('--steps <n>', "default the model's, else 20", wholeNumber('--steps', 1, MAX_STEPS))
    .option('--cfg <n>', "guidance scale, 1 is none; default the model's, else 7", decimal('--cfg', 0, 100))
    .option(
      '--clip-skip <n>',
      'layer of the text encoder from its end; default 1',
      wholeNumber('--clip-skip', 1, 100),
    )
    .addOption(choice('--emphasis <mode>', 'how (weights:1.3) act; default original', emphases.map(dashed)));
}

function addImageOptions(command: Command): void {
  command
    .optionsGroup('From a picture:')
    .option('-i, --init <file>', 'begin from this picture')
    .option('--strength <n>', 'how far to go from it, 0 to 1; default 0.75', decimal('--strength', 0, 1))
    .addOption(
      choice('--posterior <kind>', "its latent: the encoder's mean (default) or a sample", [
        'mean',
        'sample',
      ]),
    )
    .addOption(
      choice('--resize-mode <kind>', 'how it becomes the size asked for; default resize', resizeModes),
    )
    .option(
      '--initial-noise-multiplier <n>',
      'multiplies the noise laid on it; default 1',
      decimal('--initial-noise-multiplier', 0, 1.5),
    )
    .option('--mask <file>', 'repaint only what is white here')
    .option(
      '--mask-blur <n>',
      "pixels of softness at the mask's edge; default 4",
      decimal('--mask-blur', 0, 64),
    )
    .option('--mask-invert', 'repaint what is black there instead')
    .option('--no-mask-round', 'let the mask count by shades in the latent')
    .addOption(choice('--fill <kind>', 'what the masked part begins from; default original', maskFills))
    .option('--only-masked', 'work at full size on the masked part alone')
    .option('--padding <n>', 'pixels around it that are seen; default 32', wholeNumber('--padding', 0))
    .optionsGroup('Second, larger pass:')
    .option('--hires', 'make the picture larger in a second pass (also by any option below)')
    .option('--hires-scale <n>', 'how many times; default 2', decimal('--hires-scale', 1, 8))
    .option('--hires-width <n>', 'pixels instead', wholeNumber('--hires-width', 1, MAX_SIDE))
    .option('--hires-height <n>', 'pixels instead', wholeNumber('--hires-height', 1, MAX_SIDE))
    .option(
      '--hires-steps <n>',
      'steps that it runs; default as many again',
      wholeNumber('--hires-steps', 1, MAX_STEPS),
    )
    .option(
      '--hires-strength <n>',
      'how far it may go, to 1; default 0.75',
      decimal('--hires-strength', 0, 1),
    )
    .addOption(choice('--hires-upscaler <name>', 'default latent', hiresUpscalers))
    .option('--hires-prompt <text>', 'what to draw in it; default the same')
    .option('--hires-negative <text>', 'what not to draw in it; default the same')
    .option('--hires-sampler <name>', 'default the same')
    .option('--hires-schedule <name>', 'default the same');
}

function addSamplingOptions(command: Command): void {
  command
    .optionsGroup('Sampling:')
    .option('--sampler <name>', "by Safelight's or A1111's name; default the model's, else dpmpp_2m")
    .option('--schedule <name>', "noise levels; default the model's, else karras")
    .addOption(
      choice('--rng <kind>', "random numbers as PyTorch's CPU (default) or CUDA generator", ['cpu', 'cuda']),
    )
    .option(
      '--eta <n>',
      'noise of ancestral and SDE samplers (default 1) and DDIM (0)',
      decimal('--eta', 0, 10),
    )
    .option('--s-churn <n>', 'stochasticity of euler, heun and dpm2; default 0', decimal('--s-churn', 0))
    .option('--s-tmin <n>', 'lowest sigma that is churned', decimal('--s-tmin', 0))
    .option('--s-tmax <n>', 'highest sigma that is churned', decimal('--s-tmax', 0))
    .option('--s-noise <n>', 'multiplies added noise; default 1', decimal('--s-noise', 0, 10))
    .option(
      '--eta-noise-seed-delta <n>',
      'added to the seed for noise of samplers; default 0',
      wholeNumber('--eta-noise-seed-delta', -(2 ** 31), 2 ** 31),
    )
    .option('--discard-penultimate', 'leave out the last sigma but one')
    .option(
      '--sigma-min <n>',
      "lowest sigma of formula schedules; default the model's",
      decimal('--sigma-min', 1e-6, 1e6),
    )
    .option('--sigma-max <n>', "highest sigma; default the model's", decimal('--sigma-max', 1e-6, 1e6))
    .option('--rho <n>', 'bend of karras (7) and polyexponential (1)', decimal('--rho', 1e-3, 1e3))
    .option(
      '--guidance-rescale <n>',
      'contrast restored after guidance, 0 (default) to 1',
      decimal('--guidance-rescale', 0, 1),
    )
    .option(
      '--guidance-interval <low,high>',
      'sigmas between which there is guidance; outside of them half the work',
      pair('--guidance-interval'),
    )
    .optionsGroup('Step caching (faster, a little different):')
    .option(
      '--deepcache-interval <n>',
      'run the whole U-Net only every n evaluations; 3 if a branch is given',
      wholeNumber('--deepcache-interval', 1, 1000),
    )
    .option(
      '--deepcache-branch <n>',
      'how much of it runs in between: three branches a level; default 0, the least',
      wholeNumber('--deepcache-branch', 0, 35),
    );
}

function addAdapterOptions(command: Command): void {
  command
    .optionsGroup('Adapters:')
    .option(
      '--lora <file[:weight[:text-encoder-weight]]>',
      "apply a LoRA; may be given several times. Weights default to 1 and to the U-Net's",
      (text: string, before: readonly LoraOption[] = []) => [...before, parseLora(text)],
    );
}

/** `no norm` is `no-norm` on a command line. */
function dashed(name: string): string {
  return name.replaceAll(' ', '-');
}

function choice(flags: string, description: string, choices: readonly string[]): Option {
  return new Option(flags, description).choices(choices);
}

export function toGenerateOptions(prompt: string | undefined, flags: GenerateFlags): GenerateOptions {
  const hires = given<HiresOptions>({
    scale: flags.hiresScale,
    width: flags.hiresWidth,
    height: flags.hiresHeight,
    steps: flags.hiresSteps,
    strength: flags.hiresStrength,
    upscaler: flags.hiresUpscaler,
    prompt: flags.hiresPrompt,
    negative: flags.hiresNegative,
    sampler: flags.hiresSampler,
    schedule: flags.hiresSchedule,
  } as HiresOptions);
  const deepCache = given<DeepCacheOptions>({
    interval: flags.deepcacheInterval,
    branch: flags.deepcacheBranch,
  } as DeepCacheOptions);
  return given<GenerateOptions>({
    prompt: prompt as string,
    ...pick(flags, [
      ...([
        'negative',
        'class',
        'width',
        'height',
        'steps',
        'cfg',
        'sampler',
        'schedule',
        'seed',
        'count',
        'batch',
      ] as const),
      ...(['clipSkip', 'rng', 'init', 'strength', 'posterior', 'mask', 'maskBlur', 'fill'] as const),
      ...(['subseed', 'subseedStrength', 'seedResizeFrom', 'etaNoiseSeedDelta', 'resizeMode'] as const),
      ...(['initialNoiseMultiplier', 'maskInvert'] as const),
      ...([
        'onlyMasked',
        'padding',
        'eta',
        'sChurn',
        'sTmin',
        'sTmax',
        'sNoise',
        'discardPenultimate',
      ] as const),
      ...(['sigmaMin', 'sigmaMax', 'rho', 'guidanceRescale', 'guidanceInterval'] as const),
    ]),
    ...(flags.maskRound === false ? { maskRound: false } : {}),
    emphasis: emphases.find((mode) => dashed(mode) === flags.emphasis) as Emphasis,
    ...(flags.hires || Object.keys(hires).length > 0 ? { hires } : {}),
    ...(Object.keys(deepCache).length > 0 ? { deepCache } : {}),
    ...(flags.lora ? { loras: flags.lora } : {}),
  });
}

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, K>;
}
