/**
 * The tiny autoencoders of test/reference/vq_models.py, written as checkpoints in the layouts that are
 * common.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import { readSafetensors } from '../../../lib/checkpoint/formats/safetensors.js';
import { Tensor } from '../../../lib/tensor/tensor.js';
import { f16Tensor, type RawTensor, writeSafetensors } from '../tiny-models.js';

const FOLDER = fileURLToPath(new URL('../../fixtures/vq/', import.meta.url));

type Row = [name: string, shape: number[], amplitude?: number, base?: number];

export interface Section {
  readonly about: {
    readonly target: string;
    readonly params: Record<string, unknown>;
    readonly used?: number[] | null;
    readonly taps?: string[];
    /** Losses by the reference's names. */
    readonly logs?: ({ readonly step: number } & Readonly<Record<string, number>>)[];
    readonly logvar?: number;
    /** A config of diffusers. */
    readonly config?: Record<string, unknown>;
  };
  readonly rows: readonly Row[];
}

/** Reads the sections of a file, by case. */
export function sections(file: string): Record<string, Section> {
  return JSON.parse(readFileSync(join(FOLDER, `${file}.json`), 'utf8')) as Record<string, Section>;
}

export interface Expected {
  f32(name: string): Promise<Tensor>;
  i32(name: string): Promise<Tensor<Int32Array>>;
  has(name: string): Promise<boolean>;
}

/** Reads the reference's results for a case. */
export function expected(file: string, name: string): Expected {
  const opened = readSafetensors(join(FOLDER, `${file}.safetensors`));
  const read = async (part: string): Promise<{ bytes: ArrayBuffer; shape: readonly number[] }> => {
    const { path, tensors } = await opened;
    const found = tensors.get(`${name}/${part}`);
    if (found === undefined) throw new Error(`the fixture has no ${name}/${part}`);
    const bytes = new Uint8Array(found.length);
    const handle = await open(path);
    await handle.read(bytes, 0, found.length, found.offset);
    await handle.close();
    return { bytes: bytes.buffer, shape: found.shape };
  };
  return {
    async f32(part) {
      const { bytes, shape } = await read(part);
      return Tensor.from(new Float32Array(bytes), shape);
    },
    async i32(part) {
      const { bytes, shape } = await read(part);
      return Tensor.from(new Int32Array(bytes), shape);
    },
    has: async (part) => (await opened).tensors.has(`${name}/${part}`),
  };
}

/** Creates a folder for the test file, removed after its tests. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-vq-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Returns a case's weights under names that begin with `prefix`; `of` selects other values for them. */
export function tensorsOf(
  name: string,
  { rows, about }: Section,
  { prefix = '', of = name } = {},
): Map<string, RawTensor> {
  const tensors = new Map<string, RawTensor>();
  for (const row of rows) tensors.set(prefix + row[0], made(of, row));
  if (about.used) {
    const data = new Uint8Array(BigInt64Array.from(about.used, BigInt).buffer);
    tensors.set(`${prefix}quantize.used`, { dtype: 'I64', shape: [about.used.length], data });
  }
  return tensors;
}

const known = new Map<string, RawTensor>();

function made(of: string, [source, shape, amplitude = 0.125, base = 0]: Row): RawTensor {
  const key = `${of} ${source} ${shape}`;
  const tensor = known.get(key) ?? f16Tensor([of, source, shape, amplitude, base, '', null]);
  known.set(key, tensor);
  return tensor;
}

/** Writes a checkpoint and its YAML (JSON is YAML). @returns the checkpoint's path */
export function writeCheckpoint(
  folder: string,
  tensors: ReadonlyMap<string, RawTensor>,
  model: Record<string, unknown> | null,
): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'last.safetensors');
  writeSafetensors(path, tensors);
  if (model !== null) writeFileSync(join(folder, 'config.yaml'), JSON.stringify({ model }));
  return path;
}

/** Writes a diffusers folder. */
export function writeDiffusers(folder: string, name: string, section: Section): string {
  mkdirSync(folder, { recursive: true });
  writeSafetensors(join(folder, 'diffusion_pytorch_model.safetensors'), tensorsOf(name, section));
  writeFileSync(join(folder, 'config.json'), JSON.stringify(section.about.config));
  return folder;
}

/** max|a - b| / max|b|; infinite if shapes differ or a number is not finite. */
export function difference(a: Tensor | undefined, b: Tensor): number {
  if (a === undefined || a.shape.join() !== b.shape.join()) return Number.POSITIVE_INFINITY;
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
