/** Extracts the tensors of a checkpoint's root object by their parameter names. */
import { defined } from '../../../defined.js';
import { SafelightError } from '../../../errors.js';
import type { TensorInfo } from '../../weights/tensor-index.js';
import { type Checkpoint, failure } from './checkpoint.js';
import { pickledModule, refuseModule } from './globals.js';
import { isContiguous, span } from './rebuild.js';
import { Dict, type PickleValue, Placeholder, Storage, TensorView, Tuple } from './values.js';

/** Keys under which training scripts store the model next to their optimizer's state, by precedence. */
const WRAPPERS = ['state_dict', 'model_state_dict', 'model', 'net', 'network', 'module', 'params', 'weights'];
/** The same for the moving average of the weights. */
const AVERAGES = ['state_dict_ema', 'model_ema', 'ema', 'params_ema', 'ema_state_dict'];
/** Prefixes that wrappers of modules (data parallel, compiled) add to all names. */
const PREFIXES = ['module.', '_orig_mod.'];

const MAX_DEPTH = 16;
const MAX_TENSORS = 100_000;
/** Bounds the traversal of lists that contain themselves and of dicts that contain each other repeatedly. */
const MAX_VISITS = 1_000_000;
const MAX_NAME = 512;

export interface StateDict {
  readonly tensors: Map<string, TensorInfo>;
  /** True if the tensors are a moving average that the file stores separately. */
  readonly averaged: boolean;
}

/**
 * @param ema uses the moving average if the file stores it separately
 * @throws INVALID_FILE, UNSUPPORTED_MODEL if there is no tensor at all
 */
export function stateDict(checkpoint: Checkpoint, path: string, size: number, ema: boolean): StateDict {
  refuseModule(checkpoint.root, path);
  const finder = new Finder(path);
  const { value, averaged } = unwrapped(checkpoint.root, ema, finder);
  const views = withoutPrefix(finder.tensors(value));
  if (views.size === 0) {
    finder.rejectUnknown();
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} contains no tensors; name the file that contains the model's state_dict`,
    );
  }
  const tensors = new Map<string, TensorInfo>();
  for (const [name, view] of views) tensors.set(name, located(name, view, checkpoint, path, size));
  return { tensors, averaged };
}

/** Returns the dict with the model's tensors out of the surrounding training state. */
function unwrapped(
  root: PickleValue,
  ema: boolean,
  finder: Finder,
): { value: PickleValue; averaged: boolean } {
  let value = root;
  let averaged = false;
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    if (!(value instanceof Dict)) break;
    const { entries } = value;
    const keys = ema && !averaged ? [...AVERAGES, ...WRAPPERS] : WRAPPERS;
    const key = keys.find(
      (key) => entries.get(key) instanceof Dict && finder.tensors(entries.get(key)!).size > 0,
    );
    if (key === undefined) {
      for (const key of WRAPPERS) finder.rejectIfUnknown(key, entries.get(key) ?? null);
      break;
    }
    averaged ||= AVERAGES.includes(key);
    value = entries.get(key) ?? null;
  }
  return { value, averaged };
}

/** Traverses dicts and lists. A hostile pickle can contain the same values many times over, so visits are counted. */
class Finder {
  private visits = 0;
  private readonly fail;
  /** The first unknown object encountered, and the first one with tensors among its attributes. */
  private unknown: Placeholder | undefined;
  private unknownWithTensors: readonly [name: string, object: Placeholder] | undefined;

  constructor(private readonly path: string) {
    this.fail = failure(path);
  }

  /**
   * Fails if no tensor was found because all are in an object of an unknown class.
   * @throws INVALID_FILE, UNSUPPORTED_MODEL
   */
  rejectUnknown(): void {
    if (this.unknownWithTensors) this.refuse(...this.unknownWithTensors);
    if (this.unknown?.className.startsWith('torch.nn.'))
      throw pickledModule(this.unknown.className, this.path);
  }

  /**
   * Fails if the value is an object of an unknown class that contains tensors.
   * @throws INVALID_FILE, UNSUPPORTED_MODEL
   */
  rejectIfUnknown(name: string, value: PickleValue): void {
    if (value instanceof Placeholder && this.holdsTensors([...value.content, ...value.state]))
      this.refuse(name, value);
  }

  private refuse(name: string, { className }: Placeholder): never {
    if (className.startsWith('torch.nn.')) throw pickledModule(className, this.path);
    throw new SafelightError(
      'INVALID_FILE',
      `${this.path} uses ${JSON.stringify(className.slice(0, 120))} to create ${JSON.stringify(name.slice(0, 120) || 'its content')}, which is ` +
        'not a tensor class; nothing was executed. Load it where that class is installed and save its state_dict, or use the model in safetensors format',
    );
  }

  /** Skips an unknown object, unless a tensor depends on it. */
  private visitUnknown(object: Placeholder, name: string): void {
    this.unknown ??= object;
    if (object.isTensor || this.holdsTensors(object.content)) this.refuse(name, object);
    if (this.unknownWithTensors === undefined && this.holdsTensors(object.state))
      this.unknownWithTensors = [name, object];
  }

  private holdsTensors(values: readonly PickleValue[]): boolean {
    const seen = new Set<PickleValue>();
    const open: PickleValue[] = [...values];
    for (let value = open.pop(); value !== undefined; value = open.pop()) {
      if (value instanceof TensorView || value instanceof Storage) return true;
      if (typeof value !== 'object' || value === null || seen.has(value)) continue;
      if (++this.visits > MAX_VISITS) this.fail('contains too many nested values');
      seen.add(value);
      if (value instanceof Placeholder) open.push(...value.content, ...value.state);
      else if (value instanceof Dict) open.push(...value.entries.values());
      else if (value instanceof Tuple) open.push(...value.items);
      else if (Array.isArray(value)) open.push(...value);
    }
    return false;
  }

  /** Returns every tensor at or below a value by its keys, joined by dots. */
  tensors(root: PickleValue): Map<string, TensorView> {
    const tensors = new Map<string, TensorView>();
    const visit = (value: PickleValue, name: string, depth: number): void => {
      if (++this.visits > MAX_VISITS) this.fail('contains too many nested values');
      const parameters = parametersOf(value);
      if (value instanceof TensorView) this.add(tensors, name, value);
      else if (parameters !== undefined) visit(parameters, name, depth + 1);
      else if (value instanceof Placeholder) this.visitUnknown(value, name);
      else if (depth < MAX_DEPTH) {
        for (const [key, item] of children(value))
          visit(item, name === '' ? key : `${name}.${key}`, depth + 1);
      }
    };
    visit(root, '', 0);
    return tensors;
  }

  private add(tensors: Map<string, TensorView>, path: string, view: TensorView): void {
    const name = path === '' ? 'tensor' : path;
    if (name.length > MAX_NAME) this.fail('has a tensor with an implausibly long name');
    if (tensors.has(name)) this.fail(`has the tensor ${JSON.stringify(name)} twice`);
    if (tensors.size >= MAX_TENSORS) this.fail(`has more than ${MAX_TENSORS} tensors`);
    tensors.set(name, view);
  }
}

/** Returns the content of a `torch.nn.ParameterDict`, in which old embeddings contain their vectors. */
function parametersOf(value: PickleValue): Dict | undefined {
  if (!(value instanceof Placeholder) || value.className !== 'torch.nn.modules.container.ParameterDict')
    return undefined;
  const state = value.state.at(-1);
  const parameters = state instanceof Dict ? state.entries.get('_parameters') : undefined;
  return parameters instanceof Dict ? parameters : undefined;
}

function* children(value: PickleValue): Generator<[key: string, value: PickleValue]> {
  if (value instanceof Dict) {
    for (const [key, item] of value.entries) {
      if (typeof key === 'string' || typeof key === 'number') yield [String(key), item];
    }
  } else if (value instanceof Tuple || Array.isArray(value)) {
    for (const [i, item] of (value instanceof Tuple ? value.items : value).entries()) yield [String(i), item];
  }
}

function withoutPrefix(views: Map<string, TensorView>): Map<string, TensorView> {
  for (const prefix of PREFIXES) {
    const names = [...views.keys()];
    if (names.length > 0 && names.every((name) => name.length > prefix.length && name.startsWith(prefix)))
      return withoutPrefix(new Map([...views].map(([name, view]) => [name.slice(prefix.length), view])));
  }
  return views;
}

function located(
  name: string,
  view: TensorView,
  checkpoint: Checkpoint,
  path: string,
  size: number,
): TensorInfo {
  const { dtype, elementSize, offset, shape, strides, storage } = view;
  const fail = failure(path);
  const bytes = shape.reduce((product, side) => product * side, elementSize);
  // Views may repeat elements (stride 0), but no model is larger than its file.
  if (!Number.isSafeInteger(bytes) || bytes > size)
    fail(
      `has the implausible shape [${shape.join(', ').slice(0, 100)}] for ${JSON.stringify(name.slice(0, 100))}`,
    );
  const checksum = checkpoint.checksum(storage);
  const location = defined({
    name,
    file: path,
    offset: checkpoint.offsetOf(storage) + offset * elementSize,
    dtype,
    shape,
    checksum,
  });
  return isContiguous(view)
    ? { ...location, length: bytes }
    : { ...location, length: span(view) * elementSize, strides };
}
