/** Finds the models below a folder by file names; no file is opened. */
import { readdir, realpath, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { SafelightError } from '../errors.js';

/** Folders inside a folder of models that hold other files than models. */
export const adapterFolders = {
  ...{ loras: 'loras', embeddings: 'embeddings', wildcards: 'wildcards', upscalers: 'upscalers' },
} as const;
/** Folders inside a folder of models that hold upscalers, under our name and under A1111's. */
export const upscalerFolders = [
  adapterFolders.upscalers,
  ...['ESRGAN', 'RealESRGAN', 'SwinIR', 'DAT'],
] as const;
const notModels: ReadonlySet<string> = new Set([...Object.values(adapterFolders), ...upscalerFolders]);

/** Extensions of weights files. */
export const weightsEnding = /\.(?:safetensors|sft|gguf|ckpt|pt|pth|bin)$/i;

/** Matches indexes of shards, and shards. */
const INDEX = /\.(?:safetensors|bin)\.index\.json$/i;
const SHARD = /-\d{5}-of-\d{5}\.(?:safetensors|bin)$/i;
/** Matches weights named by diffusers and transformers, next to a `config.json`. */
const COMPONENT =
  /^(?:diffusion_pytorch_model|model|pytorch_model)(?:[.-][\w.-]+)?\.(?:safetensors|bin)(?:\.index(?:\.[\w-]+)?\.json)?$/;
const YAML = /\.ya?ml$/i;

export interface FoundModel {
  /** Absolute path. */
  readonly path: string;
  /** Path relative to the folder, with `/`, such as `sub/name.safetensors`; `.` for the folder itself. */
  readonly file: string;
  /** `file` without its extension, such as `sub/name`; the folder's name for a lone checkpoint with its YAML. */
  readonly name: string;
  readonly form: 'file' | 'folder';
}

/** Receives the relative paths of unusable model files and unreadable folders. */
export type OnSkipped = (file: string, reason: string) => void;

/**
 * Returns every weights file below the folder, and every folder that is one model (a diffusers folder, or a component
 * with its config), in the order of their names. Links are followed; each folder is searched once. Hidden files and
 * folders, empty files, dangling links and the folders of adapters and upscalers are skipped.
 * @throws FILE_NOT_FOUND if the folder itself cannot be read
 */
export async function findModels(
  folder: string,
  onSkipped: OnSkipped = () => undefined,
): Promise<FoundModel[]> {
  const search = new Search(onSkipped);
  const root = resolve(folder);
  await search.folder(root, '').catch((error: unknown) => {
    throw new SafelightError('FILE_NOT_FOUND', `The folder of models '${folder}' cannot be read`, {
      cause: error,
    });
  });
  return search.found;
}

function nameOf(file: string): string {
  return file.replace(INDEX, '').replace(weightsEnding, '');
}

class Search {
  readonly found: FoundModel[] = [];
  /** Real paths of searched folders, which ends cycles of links. */
  private readonly seen = new Set<string>();

  constructor(private readonly onSkipped: OnSkipped) {}

  async folder(path: string, file: string): Promise<void> {
    const real = await realpath(path);
    if (this.seen.has(real)) return;
    this.seen.add(real);
    const names = (await readdir(path)).filter((name) => !name.startsWith('.'));
    if (isOneModel(names)) {
      const below = file || '.';
      this.found.push({ path, file: below, name: below, form: 'folder' });
      return;
    }
    const lone = file === '' ? undefined : onlyCheckpoint(names);
    const hasIndex = names.some((name) => INDEX.test(name));
    for (const name of names.sort((a, b) => a.localeCompare(b))) {
      if ((hasIndex && SHARD.test(name)) || (file === '' && notModels.has(name))) continue;
      const below = file === '' ? name : `${file}/${name}`;
      await this.entry(join(path, name), below, name === lone ? file : nameOf(below));
    }
  }

  private async entry(path: string, file: string, name: string): Promise<void> {
    const isWeights = weightsEnding.test(file) || INDEX.test(file);
    const skip = (reason: string): void => {
      if (isWeights) this.onSkipped(file, reason);
    };
    const info = await stat(path).catch(() => undefined);
    if (!info) return skip('it is a dangling link, or not readable');
    if (info.isDirectory())
      return this.folder(path, file).catch((error: NodeJS.ErrnoException) =>
        this.onSkipped(file, `the folder cannot be read (${error.code ?? error.message})`),
      );
    if (!info.isFile()) return skip('it is not a regular file');
    if (info.size === 0) return skip('it is empty');
    if (isWeights) this.found.push({ path, file, name, form: 'file' });
  }
}

function isOneModel(names: readonly string[]): boolean {
  if (names.includes('model_index.json')) return true;
  return names.includes('config.json') && names.some((name) => COMPONENT.test(name));
}

/** Returns the only checkpoint of a training run's folder with a YAML that is not named after it (unlike A1111's). */
function onlyCheckpoint(names: readonly string[]): string | undefined {
  const [first, ...more] = names.filter((name) => weightsEnding.test(name));
  const yaml = names.filter((name) => YAML.test(name)).map((name) => name.replace(YAML, ''));
  if (first === undefined || more.length > 0 || yaml.length === 0) return undefined;
  return yaml.includes(first) || yaml.includes(first.replace(weightsEnding, '')) ? undefined : first;
}
