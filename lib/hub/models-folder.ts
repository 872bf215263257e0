/** The folder of models that came from elsewhere than the hub. */
import { readFile, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { filesUnder } from './cache.js';
import { infoOf } from './civitai.js';
import { parsedJson } from './json.js';

const WEIGHTS = new Set(['.safetensors', '.gguf', '.ckpt', '.pt', '.pth']);

export interface ModelFile {
  readonly path: string;
  readonly bytes: number;
  /** Of a file from Civitai, the version's id. */
  readonly civitai: number | undefined;
}

/** Every file of weights below the folder; none where there is no folder. */
export async function modelFiles(folder: string): Promise<ModelFile[]> {
  const found: ModelFile[] = [];
  for (const path of (await filesUnder(folder)).sort()) {
    if (!WEIGHTS.has(extname(path).toLowerCase())) continue;
    const info = await stat(path).catch(() => undefined);
    if (info?.isFile()) found.push({ path, bytes: info.size, civitai: await versionOf(path) });
  }
  return found;
}

async function versionOf(path: string): Promise<number | undefined> {
  const text = await readFile(infoOf(path), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const info = parsedJson(text);
  return typeof info === 'object' && info !== null && 'id' in info && Number.isInteger(info.id)
    ? Number(info.id)
    : undefined;
}
