/** Statistics and heat maps of tensors requested by name. */
import type { Pipeline } from '../../pipelines/diffusion/pipeline.js';
import type { RgbImage } from '../../tensor/render.js';
import type { TensorStats } from '../../tensor/stats.js';
import type { Tensor } from '../../tensor/tensor.js';

/**
 * Modules whose nodes can be traced. They are the prefixes of tensor names, as in `decoder:NAME`; a name without a
 * prefix belongs to the U-Net.
 */
export const tracedModules = ['unet', 'text_encoder', 'text_encoder_2', 'decoder'] as const;
export type TracedModule = (typeof tracedModules)[number];

export interface TensorName {
  readonly module: TracedModule;
  readonly name: string;
}

export function parseTensor(text: string): TensorName {
  const at = text.indexOf(':');
  const module = tracedModules.find((prefix) => prefix === text.slice(0, Math.max(0, at)));
  return module ? { module, name: text.slice(at + 1) } : { module: 'unet', name: text };
}

/** Statistics at one step; `step` is 0 for a module that runs once. */
export interface StepStats extends TensorStats {
  readonly step: number;
}

const BINS = 48;
/** Limits of heat maps: number of rendered channels, and values per channel of a rendered tensor. */
const MAX_CHANNELS = 16;
const MAX_VALUES = 2 ** 18;

/** Statistics of one tensor over the steps of a run. */
export class TensorRecord {
  private readonly steps: StepStats[] = [];
  private last: Tensor | undefined;

  constructor(readonly requested: string) {}

  add(step: number, value: Tensor): void {
    this.steps.push({ step, ...value.stats() });
    this.last = value;
  }

  /** Renders heat maps of the first channels of the last value; undefined if the tensor is too large. */
  heatMap(): RgbImage | undefined {
    const { last } = this;
    if (!last || last.size === 0) return undefined;
    const maps = last.reshape([-1, last.shape.at(-2) ?? 1, last.shape.at(-1) ?? 1]);
    const [count = 0, height = 0, width = 0] = maps.shape;
    if (height * width > MAX_VALUES) return undefined;
    return maps.slice([0, Math.min(MAX_CHANNELS, count)]).toImage({ mode: 'heat' });
  }

  /** Returns the record in the format of `inside.json`. */
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

/** Returns all nodes that can be traced, by module, with their shapes for an image of this size. */
export async function nodesOf(
  pipeline: Pipeline,
  size: { readonly width?: number | undefined; readonly height?: number | undefined },
): Promise<Record<string, { readonly name: string; readonly shape: readonly number[] }[]>> {
  const { width, height } = size;
  const nodes: Record<string, { name: string; shape: readonly number[] }[]> = {};
  const loaded = pipeline.info.modules;
  for (const module of tracedModules.filter((name) => loaded.includes(name))) {
    const options = { module, ...(width && { width }), ...(height && { height }) };
    nodes[module] = (await pipeline.nodes(options)).map(({ name, shape }) => ({ name, shape: [...shape] }));
  }
  return nodes;
}
