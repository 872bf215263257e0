/** Which files of a repository are the model: as few as it runs with, safetensors before anything else. */
import { invalidOption, SafelightError } from '../errors.js';

export interface Choice {
  /** Patterns (`*` any letters, `/` too; `?` one; `[abc]` one of them) of the files to take instead. */
  readonly include?: readonly string[] | undefined;
  /** Weights `NAME.VARIANT.safetensors`, such as `fp16`, where a component has them. */
  readonly variant?: string | undefined;
  /** Files that are pickles may be taken. */
  readonly pickle?: boolean | undefined;
  /** What `model_index.json` names, if the repository has one. */
  readonly components?: readonly string[] | undefined;
}

const PICKLE = /\.(?:bin|ckpt|pt|pth|pkl|pickle)$/i;
const SAFE = /\.(?:safetensors|gguf)$/i;
/** Configs, vocabularies, merges, YAML beside checkpoints. */
const SMALL = /\.(?:json|txt|yaml|yml|model|vocab|merges)$/i;

/** @param files all paths @throws INVALID_OPTION for patterns that match nothing, UNSUPPORTED_MODEL where nothing can be taken as it is */
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
  if (matched.length === 0) throw invalidOption('include', `a pattern of files of ${id}`, patterns.join(' '));
  const taken = matched.filter((file) => pickle || !PICKLE.test(file));
  if (taken.length === 0) throw pickles(id, matched);
  return taken;
}

/** A diffusers pipeline: its index, and of each component the config, the vocabulary and one set of weights. */
function pipelineFiles(
  id: string,
  files: readonly string[],
  components: readonly string[],
  choice: Choice,
): string[] {
  const taken: string[] = files.filter((file) => ['model_index.json', 'safelight.json'].includes(file));
  for (const component of components) {
    const own = inFolder(files, `${component}/`);
    taken.push(...own.filter((file) => SMALL.test(file) && !/\.index\.|openvino|flax/.test(file)));
    if (own.some((file) => SAFE.test(file) || PICKLE.test(file))) taken.push(...weightsOf(id, own, choice));
  }
  return taken;
}

/** One set of weights: whole, or in shards with their index. */
function weightsOf(id: string, files: readonly string[], { variant, pickle }: Choice): string[] {
  const sets = new Map<string, string[]>();
  for (const file of files) {
    const found =
      /(?:^|\/)(?:diffusion_pytorch_model|pytorch_model|model)(.*)\.(safetensors|bin)(?:\.index(\..*)?\.json)?$/.exec(
        file,
      );
    if (!found) continue;
    const name = (found[1]! + (found[3] ?? '')).replace(/-\d{5}-of-\d{5}/, '').replace(/^\./, '');
    const key = `${found[2]} ${name}`;
    sets.set(key, [...(sets.get(key) ?? []), file]);
  }
  const names = [...(variant === undefined ? [] : [variant]), '', 'fp16'];
  for (const kind of pickle ? ['safetensors', 'bin'] : ['safetensors'])
    for (const name of names) {
      const set = sets.get(`${kind} ${name}`);
      if (set) return set;
    }
  const rest = [...sets.values()].flat();
  if (rest.some((file) => PICKLE.test(file))) throw pickles(id, rest);
  throw new SafelightError(
    'UNSUPPORTED_MODEL',
    `${id} has no weights in a form that Safelight reads; pick files yourself by --include (it has ${shown(files)})`,
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
      `${id} has no model_index.json, safetensors or GGUF file, so there is no model in it that Safelight reads`,
    );
  }
  const shards = /^(.*)-\d{5}-of-\d{5}(\.[^/]*)$/.exec(only);
  if (weights.length > 1 && !(shards && weights.every((file) => isShardOf(file, shards))))
    throw new SafelightError(
      'INVALID_OPTION',
      `${id} has several models; choose by --include: ${shown(weights)}`,
    );
  const folder = only.slice(0, only.lastIndexOf('/') + 1);
  return [...weights, ...inFolder(files, folder).filter((file) => SMALL.test(file))];
}

/** True for a shard of the same set as `NAME-00001-of-00002.safetensors`. */
function isShardOf(file: string, [, name = '', form = '']: RegExpExecArray): boolean {
  return (
    file.startsWith(name) &&
    file.endsWith(form) &&
    /^-\d{5}-of-\d{5}$/.test(file.slice(name.length, -form.length))
  );
}

/** Files of a folder itself, not of those in it. */
function inFolder(files: readonly string[], folder: string): string[] {
  return files.filter((file) => file.startsWith(folder) && !file.slice(folder.length).includes('/'));
}

function pickles(id: string, files: readonly string[]): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `${id} has only pickles there (${shown(files)}), which can run programs where Python opens them; Safelight reads them without running ` +
      'anything: --pickle takes them',
  );
}

function shown(files: readonly string[]): string {
  return `${files.slice(0, 12).join(', ')}${files.length > 12 ? ` and ${files.length - 12} more` : ''}`;
}

/** Python's fnmatch, as the hub's own client has it; a folder (`unet/`) means all in it. */
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
    throw invalidOption('include', 'pattern such as *.safetensors', pattern);
  }
}
