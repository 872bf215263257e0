/** Numbers about tensors that were asked for by name, and a look at each. */
import type { Pipeline } from '../pipelines/diffusion/pipeline.js';
import type { RgbImage } from '../tensor/picture.js';
import type { TensorStats } from '../tensor/stats.js';
import type { Tensor } from '../tensor/tensor.js';

/** Modules whose nodes can be asked for, as they are written before a name: `decoder:NAME`; of the U-Net the name alone will do. */
export const insideModules = ['unet', 'text_encoder', 'text_encoder_2', 'decoder'] as const;
export type InsideModule = (typeof insideModules)[number];

export interface TensorName {
  readonly module: InsideModule;
  readonly name: string;
}

export function parseTensor(text: string): TensorName {
  const at = text.indexOf(':');
  const module = insideModules.find((one) => one === text.slice(0, Math.max(0, at)));
  return module ? { module, name: text.slice(at + 1) } : { module: 'unet', name: text };
}

/** Of a step (0 for what runs once). */
export interface StepStats extends TensorStats {
  readonly step: number;
}

const BINS = 48;
/** Maps of a tensor that are drawn, and numbers of one that can be. */
const MOST_MAPS = 16;
const MOST_NUMBERS = 2 ** 18;

/** What was seen of one tensor in the course of a run. */
export class TensorRecord {
  private readonly steps: StepStats[] = [];
  private last: Tensor | undefined;

  constructor(readonly asked: string) {}

  add(step: number, value: Tensor): void {
    this.steps.push({ step, ...value.stats() });
    this.last = value;
  }

  /** A heat map of each of the first channels of the last value, if they are of a size to look at. */
  picture(): RgbImage | undefined {
    const { last } = this;
    if (!last || last.size === 0) return undefined;
    const maps = last.reshape([-1, last.shape.at(-2) ?? 1, last.shape.at(-1) ?? 1]);
    const [count = 0, height = 0, width = 0] = maps.shape;
    if (height * width > MOST_NUMBERS) return undefined;
    return maps.slice([0, Math.min(MOST_MAPS, count)]).toImage({ mode: 'heat' });
  }

  told() {
    const { counts, edges } = this.last?.histogram(BINS) ?? { counts: [], edges: [] };
    return {
      name: this.asked,
      shape: [...(this.last?.shape ?? [])],
      steps: this.steps,
      histogram: { counts: [...counts], edges: [...edges] },
    };
  }
}

/** Everything that can be asked for, by module, with shapes for a picture of this size. */
export async function nodesOf(
  pipeline: Pipeline,
  size: { readonly width?: number | undefined; readonly height?: number | undefined },
): Promise<Record<string, { readonly name: string; readonly shape: readonly number[] }[]>> {
  const { width, height } = size;
  const found: Record<string, { name: string; shape: readonly number[] }[]> = {};
  const known = pipeline.info.modules;
  for (const module of insideModules.filter((name) => known.includes(name))) {
    const options = { module, ...(width && { width }), ...(height && { height }) };
    found[module] = (await pipeline.nodes(options)).map(({ name, shape }) => ({ name, shape: [...shape] }));
  }
  return found;
}
