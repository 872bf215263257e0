/**
 * The starter model as a repository of the hub whose components have two shards each, and a client's cache of
 * it.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { starterModel } from '../../lib/checkpoint/open.js';
import { framed } from './checkpoint/sparse-files.js';

const COMMIT = 'c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00';
const WEIGHTS = /(?:^|\/)(?:diffusion_pytorch_model|model)\.safetensors$/;

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

/**
 * @param variant such as `fp16`: the shards and their index have it in their names, as diffusers writes them
 */
export function shardedStarter(variant?: string): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (const entry of readdirSync(starterModel, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = relative(starterModel, path);
    const bytes = readFileSync(path);
    if (WEIGHTS.test(name)) for (const [shard, data] of shards(name, bytes, variant)) files.set(shard, data);
    else files.set(name, bytes);
  }
  return files;
}

/** Two files with every other tensor each, and their index. */
function shards(name: string, bytes: Buffer, variant: string | undefined): [string, Buffer][] {
  const stem = name.slice(0, -'.safetensors'.length);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<string, HeaderEntry>;
  const tensors = Object.entries(header).filter(([key]) => key !== '__metadata__');
  const weightMap: Record<string, string> = {};
  const written = [0, 1].map((half): [string, Buffer] => {
    const file = `${stem}${variant ? `.${variant}` : ''}-0000${half + 1}-of-00002.safetensors`;
    const own: Record<string, HeaderEntry> = {};
    const data: Buffer[] = [];
    let at = 0;
    tensors.forEach(
      (
        [
          key,
          {
            dtype,
            shape,
            data_offsets: [begin, end],
          },
        ],
        i,
      ) => {
        if (i % 2 !== half) return;
        own[key] = { dtype, shape, data_offsets: [at, at + end - begin] };
        at += end - begin;
        data.push(bytes.subarray(start + begin, start + end));
        weightMap[key] = basename(file);
      },
    );
    return [file, Buffer.concat([framed(JSON.stringify(own)), ...data])];
  });
  const index = `${stem}.safetensors.index${variant ? `.${variant}` : ''}.json`;
  return [...written, [index, Buffer.from(JSON.stringify({ metadata: null, weight_map: weightMap }))]];
}

/**
 * Writes files in the layout of huggingface_hub: `snapshots/COMMIT/PATH` are relative links into `blobs`.
 * @returns the snapshot's folder
 */
export async function layOutCache(
  hub: string,
  id: string,
  files: ReadonlyMap<string, Buffer>,
): Promise<string> {
  const repository = join(hub, `models--${id.replace('/', '--')}`);
  const snapshot = join(repository, 'snapshots', COMMIT);
  await mkdir(join(repository, 'blobs'), { recursive: true });
  await mkdir(join(repository, 'refs'), { recursive: true });
  await writeFile(join(repository, 'refs', 'main'), COMMIT);
  for (const [path, bytes] of files) {
    const blob = join(repository, 'blobs', createHash('sha256').update(bytes).digest('hex'));
    await writeFile(blob, bytes);
    const file = join(snapshot, path);
    await mkdir(dirname(file), { recursive: true });
    await symlink(relative(dirname(file), blob), file);
  }
  return snapshot;
}
