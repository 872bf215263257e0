/** A tiny text encoder whose weight file and plan each test can modify. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CreateOptions, NativeModule, requirements } from '../../lib/binding/module.js';
import type {
  ModuleKind,
  NativeConfig,
  NativeTensor,
  WeightPlan,
  WeightPlanEntry,
} from '../../lib/binding/types.js';

export const config = {
  vocab_size: 10,
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  max_position_embeddings: 8,
  hidden_act: 'gelu',
  layer_norm_eps: 1e-5,
  projection_dim: 32,
} satisfies NativeConfig;

export const TOKEN_EMBEDDING = 'text_model.embeddings.token_embedding.weight';
export const POSITIONS = 'text_model.embeddings.position_embedding.weight';
export const PROJECTION = 'text_projection.weight';
export const FINAL_NORM = 'text_model.final_layer_norm';

const folders: string[] = [];

/** Writes a file into a temporary folder, which `removeFiles` deletes, and returns its path. */
export function writeFile(bytes: Uint8Array, name = 'weights.bin'): string {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-native-'));
  folders.push(folder);
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

export function removeFiles(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
}

/** Returns a deterministic generator of pseudo-random numbers between -0.5 and 0.5. */
export function noise(seed: number): () => number {
  let state = seed * 7919 + 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647 - 0.5;
  };
}

/** Returns a plan with all weights that the config requires, as F32: noise times 0.2 unless set by `values`. */
export function planOf(
  modelConfig: NativeConfig = config,
  values: Record<string, (index: number) => number> = {},
  kind: ModuleKind = 'text_encoder',
): WeightPlan & { entries: WeightPlanEntry[] } {
  const needed = requirements(kind, modelConfig);
  const total = needed.reduce((sum, { shape }) => sum + product(shape), 0);
  const data = new Float32Array(total);
  const next = noise(1);
  let offset = 0;
  const entries = needed.map(({ name, shape, role }): WeightPlanEntry => {
    const count = product(shape);
    const value = values[name];
    for (let i = 0; i < count; i++) {
      data[offset + i] = value
        ? value(i)
        : role === 'vector' && name.includes('norm')
          ? 1 + next()
          : next() * 0.2;
    }
    const source = { file: 0, offset: offset * 4, length: count * 4, type: 'F32' as const, shape };
    offset += count;
    return { name, shape, source, storage: 'f32' };
  });
  return { files: [writeFile(new Uint8Array(data.buffer))], entries };
}

/** Replaces the entry of one weight; its bytes are written to a new file after `padding` bytes. */
export function replaced(
  plan: WeightPlan,
  name: string,
  bytes: Uint8Array,
  entry: { type: WeightPlanEntry['source']['type']; shape: readonly number[] } & Partial<
    Omit<WeightPlanEntry, 'source'>
  > & { sourceShape?: readonly number[] },
  padding = 3,
): WeightPlan {
  const path = writeFile(Buffer.concat([Buffer.alloc(padding, 0xff), bytes]));
  const { type, shape, sourceShape, ...rest } = entry;
  const source = {
    file: plan.files.length,
    offset: padding,
    length: bytes.length,
    type,
    shape: sourceShape ?? shape,
  };
  const entries = plan.entries.map((old) =>
    old.name === name ? { name, shape, storage: 'f32' as const, ...rest, source } : old,
  );
  return { files: [...plan.files, path], entries };
}

export function create(
  plan: WeightPlan = planOf(),
  options: Partial<CreateOptions> = {},
  modelConfig: NativeConfig = config,
): Promise<NativeModule> {
  return NativeModule.create('text_encoder', modelConfig, plan, { backend: 'cpu', threads: 2, ...options });
}

export function tokens(...ids: number[]): { tokens: NativeTensor } {
  return { tokens: { data: Int32Array.from(ids), shape: [1, ids.length] } };
}

/** Returns the token embeddings as the graph reads them: hidden state 0 of a model whose position embeddings are 0. */
export async function embeddingsOf(
  plan: WeightPlan,
  modelConfig: NativeConfig = config,
): Promise<Float32Array> {
  const module = await create(plan, {}, modelConfig);
  const vocabulary = Array.from({ length: Number(modelConfig.vocab_size) }, (_, i) => i);
  const out: number[] = [];
  // The model has 8 positions.
  for (let at = 0; at < vocabulary.length; at += 8) {
    const result = await module.run('encode', tokens(...vocabulary.slice(at, at + 8)), {
      params: { layer: 0, final_norm: false },
    });
    out.push(...(result.outputs.hidden!.data as Float32Array));
  }
  module.dispose();
  return Float32Array.from(out);
}

export function product(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}
