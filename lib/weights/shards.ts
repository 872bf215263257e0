/**
 * Weights split over several files: `*.safetensors.index.json` (or `*.bin.index.json`) says which file holds which tensor. The names of the
 * files come from a stranger, so they may only lead to files inside the index's own folder.
 */
import { realpath } from 'node:fs/promises';
import { dirname, isAbsolute, resolve, sep } from 'node:path';
import { SafelightError } from '../errors.js';
import { fileError, readText } from './files.js';
import { JsonScanner } from './json-scanner.js';
import type { TensorInfo } from './tensor-index.js';
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
    files.set(shard, await read(await insideOwnFolder(absolute, shard)));
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
export function parseShardIndex(text: string, path: string): Map<string, string> {
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

async function insideOwnFolder(index: string, shard: string): Promise<string> {
  const refuse = (why: string): never => {
    throw new SafelightError(
      'INVALID_FILE',
      `${index} names ${JSON.stringify(shard.slice(0, 200))}, which ${why}; a shard has to lie beside its index`,
    );
  };
  if (shard === '' || shard.includes('\0')) refuse('is no file name');
  if (isAbsolute(shard) || /^[A-Za-z]:/.test(shard) || shard.includes('\\'))
    refuse('is no relative path with plain slashes');
  if (shard.split('/').includes('..')) refuse('leads out of its folder');
  try {
    const folder = await realpath(dirname(index));
    const real = await realpath(resolve(folder, shard));
    if (!real.startsWith(folder.endsWith(sep) ? folder : folder + sep)) refuse('is a link out of its folder');
    return real;
  } catch (error) {
    throw fileError(resolve(dirname(index), shard), error);
  }
}
