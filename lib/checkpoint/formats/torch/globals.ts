/**
 * The imports that a checkpoint's pickle may use. A pickle is a program, dangerous because of its imports. Nothing is
 * imported here: a name is in this table, names a placeholder class (`placeholder-classes.ts`), or the file is
 * rejected.
 */
import { SafelightError } from '../../../errors.js';
import { dtypeOfStorage, dtypeOfTorch } from './dtypes.js';
import { isPlaceholderClass } from './placeholder-classes.js';
import {
  makeParameter,
  rebuildFromType,
  rebuildParameter,
  rebuildTensor,
  rebuildTypedTensor,
  typedStorage,
} from './rebuild.js';
import { Dict, Global, type GlobalRole, type Make, type PickleValue, Placeholder, Tuple } from './values.js';

const dict: Make = ([pairs], fail) => {
  const result = new Dict();
  const items = Array.isArray(pairs) ? pairs : pairs instanceof Tuple ? pairs.items : [];
  for (const pair of items) {
    const two =
      pair instanceof Tuple
        ? pair.items
        : Array.isArray(pair)
          ? pair
          : fail('has a dict whose items are not pairs');
    result.entries.set(two[0] ?? null, two[1] ?? null);
  }
  return result;
};
const itemsOf = (value: PickleValue | undefined): readonly PickleValue[] =>
  Array.isArray(value) ? value : value instanceof Tuple ? value.items : [];

/** The device on which a storage was saved has no effect. */
const DEVICES = /^torch(?:\.(?:cuda|xpu|hpu|mps|npu|mlu|privateuseone))?$/;

const CLASSES: ReadonlyMap<string, Make> = new Map<string, Make>([
  ['collections.OrderedDict', dict],
  // Its first argument is the factory of default values.
  ['collections.defaultdict', ([, pairs], fail) => dict(pairs === undefined ? [] : [pairs], fail)],
  ['torch.Size', ([shape]) => new Tuple(itemsOf(shape))],
  ['torch._utils._rebuild_tensor', rebuildTensor],
  ['torch._utils._rebuild_tensor_v2', rebuildTensor],
  ['torch._utils._rebuild_tensor_v3', rebuildTypedTensor],
  ['torch._utils._rebuild_parameter', rebuildParameter],
  ['torch._utils._rebuild_parameter_with_state', rebuildParameter],
  ...['torch._tensor', 'torch.tensor'].flatMap((module): [string, Make][] => [
    [`${module}._rebuild_from_type`, rebuildFromType],
    [`${module}._rebuild_from_type_v2`, rebuildFromType],
  ]),
  ...['torch.nn', 'torch.nn.parameter'].flatMap((module): [string, Make][] => [
    [`${module}.Parameter`, makeParameter],
    [`${module}.Buffer`, makeParameter],
  ]),
  ['torch.storage.TypedStorage', typedStorage],
  ['torch.storage._TypedStorage', typedStorage],
  ['torch.TypedStorage', typedStorage],
  ...['builtins', '__builtin__'].flatMap((module): [string, Make][] => [
    [`${module}.set`, ([items]) => [...itemsOf(items)]],
    [`${module}.frozenset`, ([items]) => new Tuple(itemsOf(items))],
  ]),
]);

/** Names, current and former, of storages without a dtype. */
const UNTYPED: ReadonlySet<string> = new Set([
  'torch.storage.UntypedStorage',
  'torch.storage._UntypedStorage',
  'torch.UntypedStorage',
]);

/**
 * @param module the name in the pickle, such as `torch._utils`
 * @throws INVALID_FILE for a name that no checkpoint of weights uses, UNSUPPORTED_MODEL for unsupported kinds of
 *   tensors
 */
export function findGlobal(module: string, name: string, path: string): Global {
  const full = `${module}.${name}`;
  const role = roleOf(module, name, full);
  if (role !== null) return new Global(full, role);
  const shown = JSON.stringify(full.slice(0, 120));
  if (module.startsWith('torch.nn.') || module === '__torch__' || module.startsWith('__torch__.'))
    throw pickledModule(full, path);
  if (/^torch\._utils\._rebuild_\w+$|^torch\.Q?\w+Storage$/.test(full)) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} contains unsupported tensors (${shown}: sparse, quantized or of another device); save them as dense tensors`,
    );
  }
  throw new SafelightError(
    'INVALID_FILE',
    `${path} imports ${shown}, which weights do not use; nothing was executed. Do not open this file elsewhere unless you trust ` +
      'its source; use the model in safetensors format',
  );
}

/** Returns the error of a pickled PyTorch module, which has the weights as its attributes. */
export function pickledModule(name: string, path: string): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `${path} contains a pickled module (${JSON.stringify(name.slice(0, 120))}) instead of its weights; load it in PyTorch and save its state_dict()`,
  );
}

/** @throws UNSUPPORTED_MODEL if the root object is a PyTorch module */
export function refuseModule(root: PickleValue, path: string): void {
  if (root instanceof Placeholder && root.className.startsWith('torch.nn.modules.'))
    throw pickledModule(root.className, path);
}

function roleOf(module: string, name: string, full: string): GlobalRole | null {
  const make = CLASSES.get(full);
  if (make !== undefined) return { is: 'class', make, keywords: make === typedStorage };
  if (UNTYPED.has(full)) return { is: 'storage', dtype: null };
  if (DEVICES.test(module)) {
    const storage = dtypeOfStorage(name);
    if (storage !== undefined) return { is: 'storage', dtype: storage };
  }
  if (module === 'torch') {
    const dtype = dtypeOfTorch(name);
    if (dtype !== undefined) return { is: 'dtype', dtype };
  }
  return isPlaceholderClass(module, name) ? { is: 'placeholder' } : null;
}
