/**
 * Attention maps of a word of the prompt: the U-Net's cross-attention to its tokens, averaged over layers, heads and
 * steps (Tang et al. 2022, "What the DAAM", arXiv:2210.04885).
 */

import type { Chunk } from '../../conditioning/chunks.js';
import { invalidOption } from '../../errors.js';
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import * as check from '../../options/check.js';
import { heatColor } from '../../tensor/heat.js';
import { interpolate } from '../../tensor/interpolate.js';
import type { RgbImage, RgbPixels } from '../../tensor/render.js';
import { Tensor } from '../../tensor/tensor.js';
import { type GenerationStep, generateSteps } from '../diffusion/generation.js';
import { withFewStepDefaults } from '../diffusion/prompts/few-step-defaults.js';
import { resolvePrompts } from '../diffusion/prompts/resolve-prompts.js';
import { singleText } from '../diffusion/prompts/single-text.js';
import type { GeneratedImage } from '../image-result.js';
import { checkTaps, type GenerateOptions, resolveOptions } from '../options.js';
import type { PromptFiles } from '../prompt-files.js';

export interface AttentionMap {
  readonly image: GeneratedImage;
  /** `[H, W]` of the size of the image: 0 at the lowest attention to the word, 1 at the highest. */
  readonly map: Tensor;
  /** The map in false colours over the image in grey. */
  readonly overlay: RgbImage;
}

/** Options of `attentionMap`; `prompt` must be a single prompt. */
export interface AttentionOptions extends GenerateOptions {
  /** A word or several consecutive words of the prompt. */
  readonly word: string;
}

/**
 * Generates images with their attention maps; with hires fix, of the first pass.
 * @throws INVALID_OPTION for a word that is not in the prompt
 */
export async function attentionMaps(
  loaded: LoadedModel,
  options: AttentionOptions,
  files: PromptFiles,
): Promise<AttentionMap[]> {
  if (typeof options !== 'object' || options === null) throw invalidOption('options', 'an object', options);
  const { word, ...rest } = options;
  const { defaults, downsampleFactor, condition } = loaded.facts;
  const [resolved] = await resolvePrompts(resolveOptions(rest, defaults, downsampleFactor, condition, files));
  const settings = await withFewStepDefaults(loaded, resolved, rest);
  checkTaps({ ...rest, taps: ['attn2.probs'] });
  const [encoder] = await loaded.textEncoders(settings.signal);
  const { emphasis } = settings.text;
  const { text, embeddings } = await singleText(loaded, settings.prompt, { emphasis, files });
  const chunks = (await loaded.promptEncoder(settings.signal)).tokenize(text, emphasis, embeddings);
  const positions = positionsOf(word, encoder!.tokenizer.encode(check.string('word', word)), chunks);
  const { network } = await loaded.denoiser(settings.signal);
  const nodes = network.nodes([1, loaded.facts.latentChannels, 8, 8], 1).map(({ name }) => name);
  const sum = new AttentionSum(positions);
  const steps = generateSteps(loaded, {
    ...settings,
    taps: [...settings.taps, ...nodes.filter(isCrossAttention)],
  });
  // Number of images before the current batch. Batches are distinguished by identity, because variations have
  // constant seeds.
  let first = 0;
  let seeds: readonly number[] = [];
  for (;;) {
    const next = await steps.next();
    if (next.done) {
      return next.value.images.map((image, i) => {
        const map = sum.map(i, image.latent, image.width, image.height);
        return { image, map, overlay: overlayOf(image, map) };
      });
    }
    const step = next.value;
    if (step.pass !== 1) continue;
    if (step.seeds !== seeds) {
      first += seeds.length;
      seeds = step.seeds;
    }
    sum.add(step, first);
  }
}

/** True for U-Net nodes with cross-attention probabilities `[B, heads, pixels, tokens]`. */
export function isCrossAttention(name: string): boolean {
  return name.endsWith('attn2.probs');
}

/**
 * Returns the positions of all occurrences of a word's tokens in the encoded prompt, counted over all chunks.
 * @param ids tokens of the word
 * @throws INVALID_OPTION if the prompt does not contain them
 */
export function positionsOf(word: string, ids: readonly number[], chunks: readonly Chunk[]): number[] {
  const positions: number[] = [];
  let start = 0;
  for (const chunk of chunks) {
    for (let i = 0; ids.length > 0 && i + ids.length <= chunk.eosIndex; i++) {
      if (ids.every((id, k) => chunk.ids[i + k] === id)) positions.push(...ids.map((_, k) => start + i + k));
    }
    start += chunk.ids.length;
  }
  if (positions.length === 0) throw invalidOption('word', 'a word of the prompt', word);
  return [...new Set(positions)];
}

/** Accumulates the attention maps of images over steps. */
export class AttentionSum {
  /** Sums `[h, w]` per image, at the size of the latent. */
  private sums: Float64Array[] = [];

  constructor(private readonly positions: readonly number[]) {}

  /** Adds the taps of a step. @param first index of the batch's first image among all images */
  add(step: GenerationStep, first: number): void {
    const row = step.conditions.indexOf('positive');
    if (row < 0) return;
    const [, , height = 0, width = 0] = step.latent.shape;
    const images = step.seeds.length;
    for (const [name, probs] of Object.entries(step.taps)) {
      if (!isCrossAttention(name)) continue;
      for (let i = 0; i < images; i++) {
        const layer = this.ofLayer(probs.at(row * images + i), height, width);
        this.sums[first + i] ??= new Float64Array(height * width);
        const sum = this.sums[first + i]!;
        for (let k = 0; k < sum.length; k++) sum[k]! += layer.data[k]!;
      }
    }
  }

  /** Returns the map of an image at its size, normalized to 0..1. */
  map(index: number, latent: Tensor, width: number, height: number): Tensor {
    const [h = 0, w = 0] = latent.shape.slice(-2);
    const sum = this.sums[index] ?? new Float64Array(h * w);
    const small = Tensor.from(Float32Array.from(sum), [h, w]);
    const large = interpolate(small, height, width, 'bilinear');
    const { min, max } = large.stats();
    return Tensor.from(
      large.data.map((v) => (max > min ? (v - min) / (max - min) : 0)),
      large.shape,
    );
  }

  /**
   * Returns the attention to the word in one layer `[heads, pixels, tokens]`, averaged over heads, at the size of the
   * latent.
   */
  private ofLayer(probs: Tensor, height: number, width: number): Tensor {
    const [heads = 0, pixels = 0, tokens = 0] = probs.shape;
    let [h, w] = [height, width];
    // Each level of the U-Net halves the sides, rounding up.
    while (h * w > pixels) [h, w] = [Math.ceil(h / 2), Math.ceil(w / 2)];
    const share = new Float32Array(pixels);
    for (let head = 0; head < heads; head++) {
      for (let p = 0; p < pixels; p++) {
        const row = (head * pixels + p) * tokens;
        for (const position of this.positions) share[p]! += probs.data[row + position]! / heads;
      }
    }
    return interpolate(Tensor.from(share, [h, w]), height, width, 'bilinear');
  }
}

/** Blends an image in grey with a map in false colours, half each. */
export function overlayOf(image: RgbPixels, map: Tensor): RgbImage {
  const data = new Uint8Array(image.data.length);
  for (let i = 0; i < map.size; i++) {
    const [r, g, b] = [image.data[i * 3]!, image.data[i * 3 + 1]!, image.data[i * 3 + 2]!];
    const gray = 0.299 * r + 0.587 * g + 0.114 * b;
    const heat = heatColor(map.data[i]!);
    for (let c = 0; c < 3; c++) data[i * 3 + c] = Math.round((gray + heat[c]!) / 2);
  }
  return { data, width: image.width, height: image.height };
}
