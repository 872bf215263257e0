import { mkdtempSync } from 'node:fs';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll } from 'vitest';

/** Creates a folder for the test file, removed after its tests. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-weights-'));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export interface FakeTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
}

const BYTES: Record<string, number> = {
  I32: 4,
  F4: 0.5,
  F64: 8,
  I64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U8: 1,
  I8: 1,
};

/** Returns a well-formed header for consecutive tensors, and the number of data bytes after it. */
export function headerOf(
  tensors: Record<string, FakeTensor>,
  metadata?: Record<string, string>,
): { header: Buffer; data: number } {
  let data = 0;
  const fields: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  for (const [name, { dtype, shape }] of Object.entries(tensors)) {
    const begin = data;
    data += shape.reduce((product, side) => product * side, 1) * (BYTES[dtype] ?? 1);
    fields[name] = { dtype, shape, data_offsets: [begin, data] };
  }
  return { header: framed(JSON.stringify(fields)), data };
}

/** Prepends the length to a header text. */
export function framed(text: string | Buffer): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([length, bytes]);
}

/** Writes a sparse file whose data takes no disk space. */
export async function writeSparse(
  path: string,
  tensors: Record<string, FakeTensor>,
  metadata?: Record<string, string>,
): Promise<string> {
  const { header, data } = headerOf(tensors, metadata);
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, 'w');
  try {
    await file.write(header);
    await file.truncate(header.length + data);
  } finally {
    await file.close();
  }
  return path;
}

export async function writeJson(path: string, value: unknown): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, JSON.stringify(value));
  return path;
}
