/** Statistics and heat maps of tensors that were requested by name. */
import type { Pipeline } from '../../pipelines/diffusion/pipeline.js';
import type { RgbImage } from '../../tensor/render.js';
import type { TensorStats } from '../../tensor/stats.js';
import type { Tensor } from '../../tensor/tensor.js';

/** Modules whose nodes can be traced, by their prefixes: `decoder:NAME`. A name without a prefix is the U-Net's. */
export const tracedModules = ['unet', 'text_encoder', 'text_encoder_2', 'decoder'] as const;
export type TracedModule = (typeof tracedModules)[number];

export interface TensorName {
  readonly module: TracedModule;
  readonly name: string;
}

export function parseTensor(text: string): TensorName {
  const at = text.indexOf(':');
  const module = tracedModules.find((one) => one === text.slice(0, Math.max(0, at)));
  return module ? { module, name: text.slice(at + 1) } : { module: 'unet', name: text };
}

/** Statistics at a step; 0 for a module that runs once. */
export interface StepStats extends TensorStats {
  readonly step: number;
}

const BINS = 48;
/** Channels of a tensor that are drawn, and values of the largest one that is. */
const MAX_CHANNELS = 16;
const MAX_VALUES = 2 ** 18;

/** One tensor over the steps of a run. */
export class TensorRecord {
  private readonly steps: StepStats[] = [];
  private last: Tensor | undefined;

  constructor(readonly requested: string) {}

  add(step: number, value: Tensor): void {
    this.steps.push({ step, ...value.stats() });
    this.last = value;
  }

  /** Draws a heat map of each of the first channels of the last value; undefined for one that is too large. */
  heatMap(): RgbImage | undefined {
    const { last } = this;
    if (!last || last.size === 0) return undefined;
    const maps = last.reshape([-1, last.shape.at(-2) ?? 1, last.shape.at(-1) ?? 1]);
    const [count = 0, height = 0, width = 0] = maps.shape;
    if (height * width > MAX_VALUES) return undefined;
    return maps.slice([0, Math.min(MAX_CHANNELS, count)]).toImage({ mode: 'heat' });
  }

  /** The record as `inside.json` has it. */
  snapshot() {
    const { counts, edges } = this.last?.histogram(BINS) ?? { counts: [], edges: [] };
    return {
      name: this.requested,
      shape: [...(this.last?.shape ?? [])],
      steps: this.steps,
      histogram: { counts: [...counts], edges: [...edges] },
    };
  }
}

/** Returns every node that can be traced, by module, with its shape for an image of this size. */
export async function nodesOf(
  pipeline: Pipeline,
  size: { readonly width?: number | undefined; readonly height?: number | undefined },
): Promise<Record<string, { readonly name: string; readonly shape: readonly number[] }[]>> {
  const { width, height } = size;
  const found: Record<string, { name: string; shape: readonly number[] }[]> = {};
  const known = pipeline.info.modules;
  for (const module of tracedModules.filter((name) => known.includes(name))) {
    const options = { module, ...(width && { width }), ...(height && { height }) };
    found[module] = (await pipeline.nodes(options)).map(({ name, shape }) => ({ name, shape: [...shape] }));
  }
  return found;
}
