import { writeFileSync } from 'node:fs';
import { layoutGguf } from '../../../lib/checkpoint/formats/gguf-writer.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { LoadPipelineOptions } from '../../../lib/pipelines/model/load-options.js';

/** Returns the latent that a model generates. */
export async function latentOf(path: string, load: LoadPipelineOptions = {}): Promise<number[]> {
  const pipeline = await Pipeline.load(path, load);
  try {
    const size = { width: 32, height: 32, steps: 1, seed: 3 };
    const { images } = await pipeline.generate({ prompt: 'a (red:1.2) apple', negative: '', ...size });
    return [...images[0]!.latent.data];
  } finally {
    await pipeline.dispose();
  }
}

export interface Written {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly data: Uint8Array;
}

/**
 * Writes a GGUF file without metadata; tensors without dimensions, which the format does not support, are
 * omitted.
 */
export function writeGguf(path: string, tensors: readonly Written[]): void {
  const whole = tensors.filter(({ shape }) => shape.length > 0);
  const layout = layoutGguf(
    new Map(),
    whole.map(({ name, shape, dtype: type }) => ({ name, shape, type })),
  );
  const bytes = Buffer.alloc(layout.size);
  layout.header.copy(bytes);
  whole.forEach(({ data }, i) => {
    bytes.set(data, layout.offsets[i]!);
  });
  writeFileSync(path, bytes);
}
