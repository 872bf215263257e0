/**
 * Weights split over several files: `*.safetensors.index.json` (or `*.bin.index.json`) says which file holds which tensor. The names of the
 * files come from a stranger: `shard-path.ts` says where they may lead.
 */
import { resolve } from 'node:path';
import { SafelightError } from '../../errors.js';
import { readText } from '../../files/read.js';
import type { TensorInfo } from '../weights/tensor-index.js';
import { JsonScanner } from './json-scanner.js';
import { shardPath } from './shard-path.js';
import type { WeightFile } from './weight-file.js';

const MAX_INDEX = 100_000_000;

/** Reads an index and every file it names. INVALID_FILE, FILE_NOT_FOUND, or MISSING_TENSOR for a tensor that is not where the index says. */
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
        `${absolute} promises "${name}" in ${shard}, which does not have it; download both again`,
      );
    }
    tensors.set(name, tensor);
  }
  // Tensors that the index forgot are kept, to be listed; where two files have one, the index has the say.
  for (const file of files.values()) {
    for (const [name, tensor] of file.tensors) if (!tensors.has(name)) tensors.set(name, tensor);
  }
  return { files: [...files.values()], tensors };
}

/** The index's `weight_map`: tensor name -> file name. */
function parseShardIndex(text: string, path: string): Map<string, string> {
  const fail = (what: string): never => {
    throw new SafelightError(
      'INVALID_FILE',
      `${path} ${what}; it is damaged or no shard index: download it again`,
    );
  };
  const map = new Map<string, string>();
  let found = false;
  const scanner = new JsonScanner(text, fail);
  scanner.object('the index', (key) => {
    if (key === 'weight_map') {
      found = true;
      scanner.object('weight_map', (name) =>
        map.set(name, scanner.string(`weight_map ${JSON.stringify(name)}`)),
      );
    } else scanner.skip(key);
  });
  scanner.end();
  if (!found || map.size === 0) fail('has no weight_map, or an empty one');
  return map;
}
