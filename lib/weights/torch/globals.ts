/**
 * What a checkpoint's pickle may import. A pickle is a program; its imports are what makes it dangerous, so nothing is looked up
 * anywhere: a name is in this table, or the file is refused.
 */
import { SafelightError } from '../../errors.js';
import { dtypeOfStorage, dtypeOfTorch } from './dtypes.js';
import { rebuildFromType, rebuildParameter, rebuildTensor, rebuildTypedTensor } from './rebuild.js';
import { Dict, Global, type GlobalRole, type Make, type PickleValue, Tuple } from './values.js';

const dict: Make = ([pairs], fail) => {
  const made = new Dict();
  const items = Array.isArray(pairs) ? pairs : pairs instanceof Tuple ? pairs.items : [];
  for (const pair of items) {
    const two =
      pair instanceof Tuple ? pair.items : Array.isArray(pair) ? pair : fail('has a dict of no pairs');
    made.entries.set(two[0] ?? null, two[1] ?? null);
  }
  return made;
};
const itemsOf = (value: PickleValue | undefined): readonly PickleValue[] =>
  Array.isArray(value) ? value : value instanceof Tuple ? value.items : [];

const CLASSES: ReadonlyMap<string, Make> = new Map<string, Make>([
  ['collections.OrderedDict', dict],
  // Its first argument is what makes defaults.
  ['collections.defaultdict', ([, pairs], fail) => dict(pairs === undefined ? [] : [pairs], fail)],
  ['torch.Size', ([shape]) => new Tuple(itemsOf(shape))],
  ['torch._utils._rebuild_tensor', rebuildTensor],
  ['torch._utils._rebuild_tensor_v2', rebuildTensor],
  ['torch._utils._rebuild_tensor_v3', rebuildTypedTensor],
  ['torch._utils._rebuild_parameter', rebuildParameter],
  ['torch._utils._rebuild_parameter_with_state', rebuildParameter],
  ['torch._tensor._rebuild_from_type_v2', rebuildFromType],
  ...['builtins', '__builtin__'].flatMap((module): [string, Make][] => [
    [`${module}.set`, ([items]) => [...itemsOf(items)]],
    [`${module}.frozenset`, ([items]) => new Tuple(itemsOf(items))],
  ]),
]);

/** Bytes without a type, under all of the names they have had. */
const UNTYPED: ReadonlySet<string> = new Set([
  'torch.storage.UntypedStorage',
  'torch.storage._UntypedStorage',
  'torch.UntypedStorage',
]);

/**
 * What training scripts leave in their checkpoints beside the weights. It becomes placeholders: nobody asks for it, but it must not
 * keep the weights from being read.
 */
const INERT: ReadonlySet<string> = new Set([
  // numpy's numbers and arrays, under the names of both of its generations.
  ...['numpy.core', 'numpy._core'].flatMap((core) =>
    ['multiarray.scalar', 'multiarray._reconstruct', 'numeric._frombuffer'].map((name) => `${core}.${name}`),
  ),
  ...['numpy.dtype', 'numpy.ndarray', '_codecs.encode'],
  ...['argparse.Namespace', 'typing.Any', 'collections.Counter', 'collections.deque'],
  ...['date', 'datetime', 'time', 'timedelta', 'timezone'].map((name) => `datetime.${name}`),
  ...['pathlib', 'pathlib._local'].flatMap((module) =>
    ['PosixPath', 'WindowsPath', 'PurePosixPath', 'PureWindowsPath'].map((name) => `${module}.${name}`),
  ),
  ...['torch.device', 'torch.Tensor', 'torch.nn.parameter.Parameter', 'torch.nn.parameter.Buffer'],
  ...['torch.serialization._get_layout', 'torch.nn.modules.container.ParameterDict'],
  ...['builtins', '__builtin__'].flatMap((module) =>
    [
      ...['dict', 'list', 'tuple', 'int', 'long', 'float', 'bool', 'str', 'complex', 'bytearray', 'object'],
      ...['range', 'xrange', 'slice', 'Ellipsis'],
    ].map((name) => `${module}.${name}`),
  ),
]);
/** Lightning's callbacks and hyper parameters, OmegaConf's configs and numpy's generators, whose classes move from version to version. */
const INERT_MODULES =
  /^(?:pytorch_lightning|lightning|lightning_fabric|omegaconf)(?:\.[a-z_]+)*\.[A-Za-z_]+$|^numpy\.dtypes\.\w+DType$|^numpy\.random\.[\w.]+$/;

/**
 * @param module as the pickle spells it, such as `torch._utils`
 * @throws INVALID_FILE for a name that no checkpoint of weights needs, UNSUPPORTED_MODEL for forms of tensors that are not read
 */
export function findGlobal(module: string, name: string, path: string): Global {
  const full = `${module}.${name}`;
  const role = roleOf(module, name, full);
  if (role !== null) return new Global(full, role);
  const shown = JSON.stringify(full.slice(0, 120));
  if (module.startsWith('torch.nn.') || module === '__torch__' || module.startsWith('__torch__.')) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} holds a whole module (${shown}), not only its weights; load it in PyTorch and save its state_dict()`,
    );
  }
  if (/^torch\._utils\._rebuild_\w+$|^torch\.Q?\w+Storage$/.test(full)) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} holds tensors of a form that is not read (${shown}: sparse, quantized or of another device); save them as plain tensors`,
    );
  }
  throw new SafelightError(
    'INVALID_FILE',
    `${path} asks for ${shown}, which weights do not need; nothing was executed. Do not open this file elsewhere unless you trust ` +
      'where it is from; take the model as safetensors',
  );
}

function roleOf(module: string, name: string, full: string): GlobalRole | null {
  const make = CLASSES.get(full);
  if (make !== undefined) return { is: 'class', make };
  if (UNTYPED.has(full)) return { is: 'storage', dtype: null };
  if (module === 'torch') {
    const storage = dtypeOfStorage(name);
    if (storage !== undefined) return { is: 'storage', dtype: storage };
    const dtype = dtypeOfTorch(name);
    if (dtype !== undefined) return { is: 'dtype', dtype };
  }
  return INERT.has(full) || INERT_MODULES.test(full) ? { is: 'inert' } : null;
}
