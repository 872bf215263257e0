/** The tensors of what was saved, by the names that their model has for them. */
import { defined } from '../../../defined.js';
import { SafelightError } from '../../../errors.js';
import type { TensorInfo } from '../../weights/tensor-index.js';
import { type Checkpoint, failure } from './checkpoint.js';
import { pickledModule, refuseModule } from './globals.js';
import { isContiguous, span } from './rebuild.js';
import { Dict, type PickleValue, Placeholder, Storage, TensorView, Tuple } from './values.js';

/** Where training scripts put the model beside their optimizer's state, the first that is there. */
const WRAPPERS = ['state_dict', 'model_state_dict', 'model', 'net', 'network', 'module', 'params', 'weights'];
/** The same of the weights' moving average. */
const AVERAGES = ['state_dict_ema', 'model_ema', 'ema', 'params_ema', 'ema_state_dict'];
/** Put before all names by wrappers of modules (data parallel, compiled). */
const PREFIXES = ['module.', '_orig_mod.'];

const MAX_DEPTH = 16;
const MAX_TENSORS = 100_000;
/** Lists that refer to themselves, or dicts that hold each other many times. */
const MAX_VISITS = 1_000_000;
const MAX_NAME = 512;

export interface StateDict {
  readonly tensors: Map<string, TensorInfo>;
  /** Whether they are a moving average that the file keeps apart. */
  readonly averaged: boolean;
}

/**
 * @param ema takes the moving average where the file keeps one apart
 * @throws INVALID_FILE, or UNSUPPORTED_MODEL if there is no tensor at all
 */
export function stateDict(checkpoint: Checkpoint, path: string, size: number, ema: boolean): StateDict {
  refuseModule(checkpoint.root, path);
  const found = new Finder(path);
  const { value, averaged } = unwrapped(checkpoint.root, ema, found);
  const views = withoutPrefix(found.tensors(value));
  if (views.size === 0) {
    found.refuseHolder();
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} holds no tensors; name the file that has the model's state_dict`,
    );
  }
  const tensors = new Map<string, TensorInfo>();
  for (const [name, view] of views) tensors.set(name, located(name, view, checkpoint, path, size));
  return { tensors, averaged };
}

/** The dict that has the model's tensors, out of those of the training around it. */
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
      (one) => entries.get(one) instanceof Dict && finder.tensors(entries.get(one)!).size > 0,
    );
    if (key === undefined) {
      for (const one of WRAPPERS) finder.refuseIfHolder(one, entries.get(one) ?? null);
      break;
    }
    averaged ||= AVERAGES.includes(key);
    value = entries.get(key) ?? null;
  }
  return { value, averaged };
}

/** Walks through dicts and lists; what they hold is reachable many times over in a hostile pickle, so visits are counted. */
class Finder {
  private visits = 0;
  private readonly fail;
  /** The first unknown object on the way, and the first with tensors among its attributes. */
  private unknown: Placeholder | undefined;
  private holder: readonly [name: string, object: Placeholder] | undefined;

  constructor(private readonly path: string) {
    this.fail = failure(path);
  }

  /** Where no tensor was found because they are all in an object of an unknown class. @throws INVALID_FILE, UNSUPPORTED_MODEL */
  refuseHolder(): void {
    if (this.holder) this.refuse(...this.holder);
    if (this.unknown?.className.startsWith('torch.nn.'))
      throw pickledModule(this.unknown.className, this.path);
  }

  /** @throws INVALID_FILE, UNSUPPORTED_MODEL if the value is an object of an unknown class that has tensors */
  refuseIfHolder(name: string, value: PickleValue): void {
    if (value instanceof Placeholder && this.holdsTensors([...value.content, ...value.state]))
      this.refuse(name, value);
  }

  private refuse(name: string, { className }: Placeholder): never {
    if (className.startsWith('torch.nn.')) throw pickledModule(className, this.path);
    throw new SafelightError(
      'INVALID_FILE',
      `${this.path} asks for ${JSON.stringify(className.slice(0, 120))} to make ${JSON.stringify(name.slice(0, 120) || 'what it holds')}, which is ` +
        'no class of plain tensors; nothing was executed. Load it where that is installed and save its state_dict, or take the model as safetensors',
    );
  }

  /** A leftover of the training is passed over; a tensor that depends on it is not. */
  private visitUnknown(object: Placeholder, name: string): void {
    this.unknown ??= object;
    if (object.isTensor || this.holdsTensors(object.content)) this.refuse(name, object);
    if (this.holder === undefined && this.holdsTensors(object.state)) this.holder = [name, object];
  }

  private holdsTensors(values: readonly PickleValue[]): boolean {
    const seen = new Set<PickleValue>();
    const open: PickleValue[] = [...values];
    for (let value = open.pop(); value !== undefined; value = open.pop()) {
      if (value instanceof TensorView || value instanceof Storage) return true;
      if (typeof value !== 'object' || value === null || seen.has(value)) continue;
      if (++this.visits > MAX_VISITS) this.fail('holds more than anybody can look through');
      seen.add(value);
      if (value instanceof Placeholder) open.push(...value.content, ...value.state);
      else if (value instanceof Dict) open.push(...value.entries.values());
      else if (value instanceof Tuple) open.push(...value.items);
      else if (Array.isArray(value)) open.push(...value);
    }
    return false;
  }

  /** Every tensor at or below a value, its keys joined by dots. */
  tensors(root: PickleValue): Map<string, TensorView> {
    const found = new Map<string, TensorView>();
    const visit = (value: PickleValue, name: string, depth: number): void => {
      if (++this.visits > MAX_VISITS) this.fail('holds more than anybody can look through');
      if (value instanceof TensorView) this.add(found, name, value);
      else if (value instanceof Placeholder) this.visitUnknown(value, name);
      else if (depth < MAX_DEPTH) {
        for (const [key, item] of children(value))
          visit(item, name === '' ? key : `${name}.${key}`, depth + 1);
      }
    };
    visit(root, '', 0);
    return found;
  }

  private add(found: Map<string, TensorView>, path: string, view: TensorView): void {
    const name = path === '' ? 'tensor' : path;
    if (name.length > MAX_NAME) this.fail('has a tensor with an absurdly long name');
    if (found.has(name)) this.fail(`has the tensor ${JSON.stringify(name)} twice`);
    if (found.size >= MAX_TENSORS) this.fail(`has more than ${MAX_TENSORS} tensors`);
    found.set(name, view);
  }
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
      `has the absurd shape [${shape.join(', ').slice(0, 100)}] for ${JSON.stringify(name.slice(0, 100))}`,
    );
  const checksum = checkpoint.checksum(storage);
  const place = defined({
    name,
    file: path,
    offset: checkpoint.place(storage) + offset * elementSize,
    dtype,
    shape,
    checksum,
  });
  return isContiguous(view)
    ? { ...place, length: bytes }
    : { ...place, length: span(view) * elementSize, strides };
}
