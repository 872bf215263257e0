/** Chooses the files of a repository that a model needs, with safetensors preferred. */
import { invalidOption, SafelightError } from '../errors.js';

export interface Choice {
  /** Patterns (`*` any characters, including `/`; `?` one; `[abc]` one of them) of the files to download instead. */
  readonly include?: readonly string[] | undefined;
  /** Variant of the weights, `NAME.VARIANT.safetensors`, such as `fp16`, for components that have it. */
  readonly variant?: string | undefined;
  /** Allows files that are pickles. Default false. */
  readonly pickle?: boolean | undefined;
  /** Component folders that `model_index.json` lists, if the repository has one. */
  readonly components?: readonly string[] | undefined;
}

const PICKLE = /\.(?:bin|ckpt|pt|pth|pkl|pickle)$/i;
const SAFE = /\.(?:safetensors|gguf)$/i;
/** Configs, vocabularies, merges, YAML configs of checkpoints. */
const SMALL = /\.(?:json|txt|yaml|yml|model|vocab|merges)$/i;

/**
 * @param files paths of all files in the repository
 * @throws INVALID_OPTION for patterns without a match, UNSUPPORTED_MODEL if no file can be chosen
 */
export function chooseFiles(id: string, files: readonly string[], choice: Choice): string[] {
  if (choice.include?.length) return included(id, files, choice.include, choice.pickle ?? false);
  if (choice.components) return pipelineFiles(id, files, choice.components, choice);
  if (files.includes('config.json') && files.some((file) => /^diffusion_pytorch_model[.-]/.test(file)))
    return ['config.json', ...weightsOf(id, inFolder(files, ''), choice)];
  return singleFile(id, files, choice);
}

function included(
  id: string,
  files: readonly string[],
  patterns: readonly string[],
  pickle: boolean,
): string[] {
  const matchers = patterns.map(glob);
  const matched = files.filter((file) => matchers.some((matches) => matches(file)));
  if (matched.length === 0)
    throw invalidOption('include', `a pattern that matches files of ${id}`, patterns.join(' '));
  const selected = matched.filter((file) => pickle || !PICKLE.test(file));
  if (selected.length === 0) throw pickles(id, matched);
  return selected;
}

/**
 * Returns the files of a diffusers pipeline: its index, and the config, vocabulary and one set of weights of each
 * component.
 */
function pipelineFiles(
  id: string,
  files: readonly string[],
  components: readonly string[],
  choice: Choice,
): string[] {
  const selected: string[] = files.filter((file) => ['model_index.json', 'safelight.json'].includes(file));
  for (const component of components) {
    const componentFiles = inFolder(files, `${component}/`);
    selected.push(
      ...componentFiles.filter((file) => SMALL.test(file) && !/\.index\.|openvino|flax/.test(file)),
    );
    if (componentFiles.some((file) => SAFE.test(file) || PICKLE.test(file)))
      selected.push(...weightsOf(id, componentFiles, choice));
  }
  return selected;
}

/** Returns one set of weights: a single file, or shards with their index. */
function weightsOf(id: string, files: readonly string[], { variant, pickle }: Choice): string[] {
  const sets = new Map<string, string[]>();
  for (const file of files) {
    const match =
      /(?:^|\/)(?:diffusion_pytorch_model|pytorch_model|model)(.*)\.(safetensors|bin)(?:\.index(\..*)?\.json)?$/.exec(
        file,
      );
    if (!match) continue;
    const name = (match[1]! + (match[3] ?? '')).replace(/-\d{5}-of-\d{5}/, '').replace(/^\./, '');
    const key = `${match[2]} ${name}`;
    sets.set(key, [...(sets.get(key) ?? []), file]);
  }
  const names = [...(variant === undefined ? [] : [variant]), '', 'fp16'];
  for (const kind of pickle ? ['safetensors', 'bin'] : ['safetensors'])
    for (const name of names) {
      const set = sets.get(`${kind} ${name}`);
      if (set) return set;
    }
  const remaining = [...sets.values()].flat();
  if (remaining.some((file) => PICKLE.test(file))) throw pickles(id, remaining);
  throw new SafelightError(
    'UNSUPPORTED_MODEL',
    `${id} has no weights in a supported format; choose files with --include (it contains ${shown(files)})`,
  );
}

function singleFile(id: string, files: readonly string[], { pickle }: Choice): string[] {
  const safe = files.filter((file) => SAFE.test(file));
  const weights = safe.length > 0 || !pickle ? safe : files.filter((file) => PICKLE.test(file));
  const [only] = weights;
  if (only === undefined) {
    const unsafe = files.filter((file) => PICKLE.test(file));
    if (unsafe.length > 0) throw pickles(id, unsafe);
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${id} has no model_index.json, safetensors or GGUF file, so it contains no supported model`,
    );
  }
  const shards = /^(.*)-\d{5}-of-\d{5}(\.[^/]*)$/.exec(only);
  if (weights.length > 1 && !(shards && weights.every((file) => isShardOf(file, shards))))
    throw new SafelightError(
      'INVALID_OPTION',
      `${id} has several models; choose one with --include: ${shown(weights)}`,
    );
  const folder = only.slice(0, only.lastIndexOf('/') + 1);
  return [...weights, ...inFolder(files, folder).filter((file) => SMALL.test(file))];
}

/** Returns true for a shard of the same set as `NAME-00001-of-00002.safetensors`. */
function isShardOf(file: string, [, name = '', form = '']: RegExpExecArray): boolean {
  return (
    file.startsWith(name) &&
    file.endsWith(form) &&
    /^-\d{5}-of-\d{5}$/.test(file.slice(name.length, -form.length))
  );
}

/** Returns the files directly in a folder. */
function inFolder(files: readonly string[], folder: string): string[] {
  return files.filter((file) => file.startsWith(folder) && !file.slice(folder.length).includes('/'));
}

function pickles(id: string, files: readonly string[]): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `${id} has only pickles (${shown(files)}), which can execute code when Python loads them; Safelight reads them without executing ` +
      'code: allow them with --pickle',
  );
}

function shown(files: readonly string[]): string {
  return `${files.slice(0, 12).join(', ')}${files.length > 12 ? ` and ${files.length - 12} more` : ''}`;
}

/** Compiles a pattern of Python's fnmatch, as in the hub's own client; a folder (`unet/`) matches everything in it. */
function glob(pattern: string): (path: string) => boolean {
  const text = pattern.endsWith('/') ? `${pattern}*` : pattern;
  const source = text.replace(/\[!?[^\]]+\]|[\s\S]/g, (part) => {
    if (part === '*') return '[^]*';
    if (part === '?') return '[^]';
    if (part.length > 1 && part.startsWith('['))
      return `[${part
        .slice(1, -1)
        .replace(/^!/, '^')
        .replace(/[\\\]]/g, '\\$&')}]`;
    return part.replace(/[\\^$.|+()[\]{}/-]/g, '\\$&');
  });
  try {
    const expression = new RegExp(`^${source}$`);
    return (path) => expression.test(path);
  } catch {
    throw invalidOption('include', 'a pattern such as *.safetensors', pattern);
  }
}
