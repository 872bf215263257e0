/**
 * Modules of test/fixtures/models (written by test/reference/models.py) in the addon, and the errors of their
 * results.
 */

import { open, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { addon as load } from '../../lib/binding/binding.js';
import type {
  ModuleKind,
  ModuleOptions,
  NativeAddon,
  NativeConfig,
  NativeModuleHandle,
  NativeTensor,
  StorageType,
  WeightPlan,
  WeightRequirement,
} from '../../lib/binding/types.js';
import { readSafetensors, type SafetensorsFile } from '../../lib/checkpoint/formats/safetensors.js';
import { stock } from './stock.js';

export const addon: NativeAddon = load();

export const NAMES = [
  'clip',
  'openclip',
  'unet-sd1',
  'unet-sd2',
  'unet-sdxl',
  'unet-inpaint',
  'unet-plain',
  'kl',
  'kl-plain',
  'taesd',
  'taesd-pooled',
  'latent-transformer',
  'latent-transformer-unmasked',
  't5',
] as const;

export interface Case {
  readonly entry: string;
  readonly params: NativeConfig;
  readonly inputs: Record<string, NativeTensor>;
  readonly outputs: Record<string, NativeTensor>;
  readonly taps: Record<string, NativeTensor>;
}

export interface Fixture {
  readonly kind: ModuleKind;
  readonly config: NativeConfig;
  readonly cases: readonly Case[];
  readonly file: SafetensorsFile;
}

interface Described {
  kind: ModuleKind;
  config: NativeConfig;
  cases: { entry: string; params: NativeConfig; inputs: string[]; outputs: string[]; taps: string[] }[];
}

export async function readFixture(name: string): Promise<Fixture> {
  const path = fileURLToPath(new URL(`../fixtures/models/${name}`, import.meta.url));
  const described = JSON.parse(await readFile(`${path}.json`, 'utf8')) as Described;
  const file = await readSafetensors(`${path}.safetensors`);
  const read = async (number: number, group: string, names: string[]) =>
    Object.fromEntries(
      await Promise.all(names.map(async (key) => [key, await readTensor(file, `${number}/${group}/${key}`)])),
    ) as Record<string, NativeTensor>;
  const cases = await Promise.all(
    described.cases.map(async ({ entry, params, inputs, outputs, taps }, number) => ({
      entry,
      params,
      inputs: await read(number, 'inputs', inputs),
      outputs: await read(number, 'outputs', outputs),
      taps: await read(number, 'taps', taps),
    })),
  );
  return { kind: described.kind, config: described.config, cases, file };
}

async function readTensor(file: SafetensorsFile, name: string): Promise<NativeTensor> {
  const { offset, length, dtype, shape } = file.tensors.get(name)!;
  const bytes = new Uint8Array(length);
  const handle = await open(file.path);
  await handle.read(bytes, 0, length, offset);
  await handle.close();
  return { data: dtype === 'I32' ? new Int32Array(bytes.buffer) : new Float32Array(bytes.buffer), shape };
}

/** Returns the storage of a parameter if `storage` is requested, which its role and row length restrict. */
function storable({ role, shape }: WeightRequirement, storage: StorageType): StorageType {
  if (role === 'vector') return 'f32';
  const quantizable = role === 'matrix' && shape.at(-1)! % 32 === 0;
  return storage === 'q8_0' && !quantizable ? 'f16' : storage;
}

export function planOf({ kind, config, file }: Fixture, storage: StorageType): WeightPlan {
  const entries = addon.requirements(kind, config).map((requirement) => {
    const source = file.tensors.get(`weights/${requirement.name}`);
    if (!source) throw new Error(`the fixture has no ${requirement.name}`);
    return {
      name: requirement.name,
      shape: source.shape,
      source: {
        file: 0,
        offset: source.offset,
        length: source.length,
        type: 'F16' as const,
        shape: source.shape,
      },
      storage: storable(requirement, storage),
    };
  });
  return { files: [file.path], entries };
}

export function createModule(
  fixture: Fixture,
  storage: StorageType = 'f32',
  options: Partial<ModuleOptions> = {},
): Promise<NativeModuleHandle> {
  const { kind, config } = fixture;
  const all = { backend: 'cpu' as const, threads: 1, stockOps: stock, ...options };
  return addon.createModule(kind, config, planOf(fixture, storage), all).promise;
}

/** max|a − b| / max|b|; infinite if shapes differ or a number is not finite. */
export function difference(a: NativeTensor | undefined, b: NativeTensor): number {
  if (a?.shape.join() !== b.shape.join() || a.data.length !== b.data.length) return Number.POSITIVE_INFINITY;
  let off = 0;
  let largest = 0;
  for (let i = 0; i < b.data.length; i++) {
    const d = Math.abs(a.data[i]! - b.data[i]!);
    if (!Number.isFinite(d)) return Number.POSITIVE_INFINITY;
    off = Math.max(off, d);
    largest = Math.max(largest, Math.abs(b.data[i]!));
  }
  return off / largest;
}

/** Returns the largest difference over all tensors of `expected`. */
export function worst(actual: Record<string, NativeTensor>, expected: Record<string, NativeTensor>): number {
  return Math.max(...Object.entries(expected).map(([name, tensor]) => difference(actual[name], tensor)));
}

/** Runs every case of a fixture and returns the largest difference of an output. */
export async function worstOutput(module: NativeModuleHandle, fixture: Fixture): Promise<number> {
  let off = 0;
  for (const { entry, inputs, params, outputs } of fixture.cases) {
    const result = await module.run(entry, inputs, { params }).promise;
    off = Math.max(off, worst(result.outputs, outputs));
  }
  return off;
}
