/**
 * The functions that rebuild tensors from a pickle (`torch/_utils.py`). Here they only describe views; no data is read.
 */
import { elementSize } from './dtypes.js';
import {
  Dict,
  type Fail,
  Global,
  type Make,
  type PickleValue,
  Placeholder,
  Storage,
  TensorView,
  Tuple,
} from './values.js';

/** PyTorch's own limit. */
const MAX_DIMENSIONS = 64;

/** `_rebuild_tensor(storage, offset, size, stride)` and `_v2`, whose additional arguments are ignored. */
export const rebuildTensor: Make = (args, fail) => {
  const [storageLike, offset, shape, strides] = args;
  const storage = typedBy(storageLike) ?? storageLike;
  if (storage instanceof Placeholder) return lost(storage, args);
  if (!(storage instanceof Storage) || storage.dtype === null)
    return fail('rebuilds a tensor without a typed storage');
  return view(storage, storage.dtype, offset, shape, strides, fail);
};

/**
 * `_rebuild_tensor_v3(storage, offset, size, stride, requires_grad, backward_hooks, dtype, metadata)`, with an untyped
 * storage.
 */
export const rebuildTypedTensor: Make = (args, fail) => {
  const [storageLike, offset, shape, strides, , , dtype] = args;
  const storage = typedBy(storageLike) ?? storageLike;
  for (const unknown of [storage, dtype]) if (unknown instanceof Placeholder) return lost(unknown, args);
  if (dtype instanceof Global && dtype.role.is === 'placeholder')
    return lost(new Placeholder(dtype.name), args);
  if (!(storage instanceof Storage) || !(dtype instanceof Global) || dtype.role.is !== 'dtype')
    return fail('rebuilds a tensor without a storage or a type');
  return view(storage, dtype.role.dtype, offset, shape, strides, fail);
};

/** `_rebuild_parameter(data, requires_grad, hooks)`: returns the tensor. */
export const rebuildParameter: Make = (args, fail) => {
  const [data] = args;
  if (data instanceof Placeholder) return lost(data, args);
  return data instanceof TensorView ? data : fail('has a parameter that is not a tensor');
};

/**
 * `Parameter(data, requires_grad)`: returns the tensor. A parameter without data, to be filled later, is not supported.
 */
export const makeParameter: Make = (args) => {
  const [data] = args;
  if (data instanceof Placeholder) return lost(data, args);
  return data instanceof TensorView ? data : new Placeholder('torch.nn.parameter.Parameter', [...args]);
};

/** Tensor classes whose values are those of their storage. */
const PLAIN = /^torch\.(?:(?:_tensor\.)?Tensor|nn\.(?:parameter\.)?(?:Parameter|Buffer))$/;

/** `_rebuild_from_type_v2(function, type, args, state)`: a tensor with attributes, which are ignored. */
export const rebuildFromType: Make = (all, fail) => {
  const [make, type, args] = all;
  if (make instanceof Global && make.role.is === 'placeholder') return lost(new Placeholder(make.name), all);
  // Other classes define the meaning of the values, for example as quantized codes.
  if (type instanceof Global && !PLAIN.test(type.name)) return lost(new Placeholder(type.name), all);
  const supported =
    make instanceof Global && make.role.is === 'class' && make.name.startsWith('torch._utils._rebuild_');
  if (!supported || !(args instanceof Tuple)) return fail('rebuilds a tensor with an unsupported function');
  return make.role.is === 'class' ? make.role.make(args.items, fail) : fail('rebuilds no tensor');
};

/** `TypedStorage(wrap_storage=..., dtype=...)`, an untyped storage with a dtype. */
export const typedStorage: Make = (args) => {
  const placeholder = new Placeholder(TYPED, [...args]);
  return typedBy(placeholder) ?? placeholder;
};

const TYPED = 'torch.storage.TypedStorage';

/** Returns the storage in the arguments or the state of a `TypedStorage`. */
function typedBy(value: PickleValue | undefined): Storage | undefined {
  if (!(value instanceof Placeholder) || value.className !== TYPED) return undefined;
  const parts = [
    ...value.content,
    ...value.state.flatMap((state) => (state instanceof Dict ? [...state.entries.values()] : [])),
  ];
  const storage = parts.find((part) => part instanceof Storage);
  const dtype = parts.find((part) => part instanceof Global && part.role.is === 'dtype');
  if (storage === undefined) return undefined;
  if (!(dtype instanceof Global) || dtype.role.is !== 'dtype')
    return storage.dtype === null ? undefined : storage;
  return new Storage(storage.key, dtype.role.dtype, storage.bytes, storage.begin);
}

/** Returns the placeholder of a tensor that depends on an unknown object. */
function lost({ className }: Placeholder, args: readonly PickleValue[]): Placeholder {
  return new Placeholder(className, [...args], true);
}

function view(
  storage: Storage,
  dtype: string,
  offset: PickleValue | undefined,
  shape: PickleValue | undefined,
  strides: PickleValue | undefined,
  fail: Fail,
): TensorView {
  const size = elementSize(dtype);
  const dims = sizes(shape, fail);
  const steps = sizes(strides, fail);
  if (!isSize(offset) || steps.length !== dims.length)
    return fail('has a tensor with an invalid offset or strides');
  const view = new TensorView(storage, dtype, size, offset, dims, steps);
  const end = (offset + span(view)) * size;
  // An empty tensor may have any offset.
  if (!Number.isSafeInteger(end) || (span(view) > 0 && end > storage.bytes)) {
    fail(
      `has a tensor [${dims.join(', ').slice(0, 100)}] that exceeds its storage of ${storage.bytes} bytes`,
    );
  }
  return view;
}

/** Returns the distance in elements from the first to the last element of a view, gaps included. */
export function span({ shape, strides }: Pick<TensorView, 'shape' | 'strides'>): number {
  if (shape.includes(0)) return 0;
  return shape.reduce((sum, side, i) => sum + (side - 1) * (strides[i] ?? 0), 1);
}

/** Returns true if the elements are contiguous in row-major order. */
export function isContiguous({ shape, strides }: Pick<TensorView, 'shape' | 'strides'>): boolean {
  if (shape.includes(0)) return true;
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    const side = shape[i] ?? 1;
    if (side !== 1 && strides[i] !== expected) return false;
    expected *= side;
  }
  return true;
}

function sizes(value: PickleValue | undefined, fail: Fail): number[] {
  const items =
    value instanceof Tuple
      ? value.items
      : Array.isArray(value)
        ? value
        : fail('has a shape that is not a tuple');
  if (items.length > MAX_DIMENSIONS) fail(`has a tensor of ${items.length} dimensions`);
  return items.map((item) => (isSize(item) ? item : fail('has a shape with invalid sizes')));
}

function isSize(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
