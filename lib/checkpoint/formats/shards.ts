/**
 * Weights split into several files: `*.safetensors.index.json` (or `*.bin.index.json`) maps tensors to files. The file
 * names are untrusted; `shard-path.ts` restricts them.
 */
import { resolve } from 'node:path';
import { SafelightError } from '../../errors.js';
import { readText } from '../../files/read.js';
import type { TensorInfo } from '../weights/tensor-index.js';
import { JsonScanner } from './json-scanner.js';
import { shardPath } from './shard-path.js';
import type { WeightFile } from './weight-file.js';

const MAX_INDEX = 100_000_000;

/**
 * Reads an index and every file it names.
 * @throws INVALID_FILE, FILE_NOT_FOUND, MISSING_TENSOR for a tensor that its file lacks
 */
export async function readShards(
  path: string,
  read: (file: string) => Promise<WeightFile>,
): Promise<{ files: WeightFile[]; tensors: Map<string, TensorInfo> }> {
  const absolute = resolve(path);
  const map = parseShardIndex(await readText(absolute, MAX_INDEX), absolute);
  const files = new Map<string, WeightFile>();
  for (const shard of new Set(map.values())) {
    files.set(shard, await read(await shardPath(absolute, shard)));
  }
  const tensors = new Map<string, TensorInfo>();
  for (const [name, shard] of map) {
    const tensor = files.get(shard)?.tensors.get(name);
    if (tensor === undefined) {
      throw new SafelightError(
        'MISSING_TENSOR',
        `${absolute} lists "${name}" in ${shard}, which does not contain it; download both again`,
      );
    }
    tensors.set(name, tensor);
  }
  // Tensors missing from the index are kept, to be listed; for duplicates the index decides.
  for (const file of files.values()) {
    for (const [name, tensor] of file.tensors) if (!tensors.has(name)) tensors.set(name, tensor);
  }
  return { files: [...files.values()], tensors };
}

/** Parses the index's `weight_map`: file names by tensor name. */
function parseShardIndex(text: string, path: string): Map<string, string> {
  const fail = (what: string): never => {
    throw new SafelightError(
      'INVALID_FILE',
      `${path} ${what}; it is damaged or not a shard index: download it again`,
    );
  };
  const map = new Map<string, string>();
  let hasMap = false;
  const scanner = new JsonScanner(text, fail);
  scanner.object('the index', (key) => {
    if (key === 'weight_map') {
      hasMap = true;
      scanner.object('weight_map', (name) =>
        map.set(name, scanner.string(`weight_map ${JSON.stringify(name)}`)),
      );
    } else scanner.skip(key);
  });
  scanner.end();
  if (!hasMap || map.size === 0) fail('has no weight_map, or an empty one');
  return map;
}
