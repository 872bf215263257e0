/**
 * Where in the picture a word went: the U-Net's cross-attention to its tokens, averaged over layers, heads and steps (Tang et al.
 * 2022, "What the DAAM", arXiv:2210.04885).
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
import type { GeneratedImage } from '../image-result.js';
import { checkTaps, type GenerateOptions, resolveOptions } from '../options.js';

export interface AttentionMap {
  readonly image: GeneratedImage;
  /** `[H, W]` of the picture's size: 0 where the word is attended to least, 1 where most. */
  readonly map: Tensor;
  /** The map in false colours over the picture in gray. */
  readonly overlay: RgbImage;
}

/** One prompt: a list is refused. */
export interface AttentionOptions extends GenerateOptions {
  /** A word, or several in a row, of the prompt. */
  readonly word: string;
}

/** One map a picture. Of hires fix, the first pass counts. @throws INVALID_OPTION for a word that is not in the prompt */
export async function attentionMaps(loaded: LoadedModel, options: AttentionOptions): Promise<AttentionMap[]> {
  if (typeof options !== 'object' || options === null) throw invalidOption('options', 'an object', options);
  const { word, ...rest } = options;
  const { defaults, downsampleFactor, condition } = loaded.facts;
  const settings = resolveOptions(rest, defaults, downsampleFactor, condition);
  checkTaps({ taps: ['attn2.probs'], deepCache: rest.deepCache });
  const [encoder] = await loaded.textEncoders(settings.signal);
  const chunks = (await loaded.promptEncoder(settings.signal)).tokenize(
    settings.prompt,
    settings.text.emphasis,
  );
  const positions = positionsOf(word, encoder!.tokenizer.encode(check.string('word', word)), chunks);
  const { network } = await loaded.denoiser(settings.signal);
  const nodes = network.nodes([1, loaded.facts.latentChannels, 8, 8], 1).map(({ name }) => name);
  const sum = new AttentionSum(positions);
  const steps = generateSteps(loaded, {
    ...settings,
    taps: [...settings.taps, ...nodes.filter(isCrossAttention)],
  });
  // Images before the batch under way; the seeds of a variation do not count up.
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

/** Whether a node of the U-Net holds cross-attention `[B, heads, pixels, tokens]`. */
export function isCrossAttention(name: string): boolean {
  return name.endsWith('attn2.probs');
}

/**
 * Positions of a word's tokens in the encoded prompt, counted through all windows; of a word that comes up several times, all.
 * @param ids the word's tokens. @throws INVALID_OPTION if the prompt does not have them
 */
export function positionsOf(word: string, ids: readonly number[], chunks: readonly Chunk[]): number[] {
  const found: number[] = [];
  let start = 0;
  for (const chunk of chunks) {
    for (let at = 0; ids.length > 0 && at + ids.length <= chunk.eosIndex; at++) {
      if (ids.every((id, k) => chunk.ids[at + k] === id)) found.push(...ids.map((_, k) => start + at + k));
    }
    start += chunk.ids.length;
  }
  if (found.length === 0) throw invalidOption('word', 'a word of the prompt', word);
  return [...new Set(found)];
}

/** Sums the maps of a batch's pictures, step by step. */
export class AttentionSum {
  /** One `[h, w]` a picture, at the latent's size. */
  private sums: Float64Array[] = [];

  constructor(private readonly positions: readonly number[]) {}

  /** Takes in the taps of a step of a batch; pictures are counted by their place among all. */
  add(step: GenerationStep, first: number): void {
    const row = step.conditions.indexOf('positive');
    if (row < 0) return;
    const [, , height = 0, width = 0] = step.latent.shape;
    const pictures = step.seeds.length;
    for (const [name, probs] of Object.entries(step.taps)) {
      if (!isCrossAttention(name)) continue;
      for (let i = 0; i < pictures; i++) {
        const layer = this.ofLayer(probs.at(row * pictures + i), height, width);
        this.sums[first + i] ??= new Float64Array(height * width);
        const sum = this.sums[first + i]!;
        for (let k = 0; k < sum.length; k++) sum[k]! += layer.data[k]!;
      }
    }
  }

  /** The finished map of a picture at its size, from 0 to 1. */
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

  /** The word's share of one layer's attention `[heads, pixels, tokens]`, at the latent's size. */
  private ofLayer(probs: Tensor, height: number, width: number): Tensor {
    const [heads = 0, pixels = 0, tokens = 0] = probs.shape;
    let [h, w] = [height, width];
    // Levels halve the sides, rounding up.
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

/** False colours over gray: half picture, half map. */
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
