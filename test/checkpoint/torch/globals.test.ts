import { describe, expect, it } from 'vitest';
import { findGlobal } from '../../../lib/checkpoint/formats/torch/globals.js';
import { isContiguous, span } from '../../../lib/checkpoint/formats/torch/rebuild.js';
import {
  Dict,
  type PickleValue,
  Storage,
  TensorView,
  Tuple,
} from '../../../lib/checkpoint/formats/torch/values.js';

const fail = (what: string): never => {
  throw new Error(what);
};
const named = (full: string) =>
  findGlobal(full.slice(0, full.lastIndexOf('.')), full.slice(full.lastIndexOf('.') + 1), 'm.ckpt');
/** Calls an imported class or function, as the pickle's REDUCE does. */
function call(full: string, ...args: PickleValue[]): PickleValue {
  const { role } = named(full);
  if (role.is !== 'class') throw new Error(`${full} is not a class`);
  return role.make(args, fail);
}

const bytes = (count: number, dtype: string | null = 'F32') => new Storage('0', dtype, count);
const sizes = (...numbers: number[]) => new Tuple(numbers);
const matrix = () => call('torch._utils._rebuild_tensor_v2', bytes(24), 0, sizes(2, 3), sizes(3, 1));

describe('containers in a pickle', () => {
  it.each([
    ['pairs of tuples in a list', [[new Tuple(['a', 1]), new Tuple(['b', 2])]]],
    [
      'pairs of lists in a tuple',
      [
        new Tuple([
          ['a', 1],
          ['b', 2],
        ]),
      ],
    ],
  ])('are ordered dicts made of %s', (_, args) => {
    const made = call('collections.OrderedDict', ...(args as PickleValue[]));
    expect(made).toBeInstanceOf(Dict);
    expect([...(made as Dict).entries]).toEqual([
      ['a', 1],
      ['b', 2],
    ]);
  });

  it('are empty without arguments, and null for the missing half of a pair', () => {
    expect((call('collections.OrderedDict') as Dict).entries.size).toBe(0);
    expect([...(call('collections.OrderedDict', [new Tuple(['a'])]) as Dict).entries]).toEqual([['a', null]]);
  });

  it('ignore the factory of a defaultdict', () => {
    const made = call('collections.defaultdict', null, [new Tuple(['a', 1])]) as Dict;
    expect([...made.entries]).toEqual([['a', 1]]);
    expect((call('collections.defaultdict', null) as Dict).entries.size).toBe(0);
  });

  it('are refused if they contain something that is no pair', () => {
    expect(() => call('collections.OrderedDict', [7])).toThrow();
  });

  it('are lists for sets, and tuples for frozen sets and sizes', () => {
    expect(call('builtins.set', [1, 2])).toEqual([1, 2]);
    expect(call('__builtin__.frozenset', new Tuple([1, 2]))).toEqual(new Tuple([1, 2]));
    expect(call('torch.Size', [2, 3])).toEqual(sizes(2, 3));
    expect(call('torch.Size')).toEqual(sizes());
  });
});

describe('tensors in a pickle', () => {
  it('are views of a storage, also as parameters and with a class of their own', () => {
    const view = matrix();
    expect(view).toMatchObject({ shape: [2, 3], strides: [3, 1], dtype: 'F32' });
    expect(call('torch._utils._rebuild_parameter', view, true, null)).toBe(view);
    expect(call('torch.nn.Parameter', view)).toBe(view);
    const rebuild = named('torch._utils._rebuild_tensor_v2');
    const args = new Tuple([bytes(24), 0, sizes(2, 3), sizes(3, 1)]);
    const typed = call(
      'torch._tensor._rebuild_from_type_v2',
      rebuild,
      named('torch.nn.Parameter'),
      args,
      null,
    );
    expect(typed).toBeInstanceOf(TensorView);
  });

  it('get their type from the call if their storage has none', () => {
    const untyped = bytes(12, null);
    const args = [untyped, 0, sizes(6), sizes(1), false, null] as PickleValue[];
    expect(call('torch._utils._rebuild_tensor_v3', ...args, named('torch.float16'))).toMatchObject({
      dtype: 'F16',
    });
    expect(() => call('torch._utils._rebuild_tensor_v3', ...args, null)).toThrow();
    expect(() => call('torch._utils._rebuild_tensor_v2', ...args)).toThrow();
    const storage = call('torch.storage.TypedStorage', untyped, named('torch.float16'));
    expect(call('torch._utils._rebuild_tensor_v2', storage, 0, sizes(6), sizes(1))).toMatchObject({
      dtype: 'F16',
    });
  });

  it('are placeholders if they depend on a class that is not known', () => {
    const unknown = call('torch.nn.Parameter'); // filled later
    for (const value of [
      call('torch._utils._rebuild_tensor_v2', unknown, 0, sizes(1), sizes(1)),
      call(
        'torch._utils._rebuild_tensor_v3',
        unknown,
        0,
        sizes(1),
        sizes(1),
        false,
        null,
        named('torch.float16'),
      ),
      call('torch._utils._rebuild_parameter', unknown, true, null),
      call('torch.nn.Parameter', unknown),
    ])
      expect(value).toMatchObject({ isTensor: true });
  });

  it.each([
    ['lie outside of their storage', [bytes(23), 0, sizes(2, 3), sizes(3, 1)]],
    ['begin before their storage', [bytes(24), -1, sizes(1), sizes(1)]],
    ['have a stride too few', [bytes(24), 0, sizes(2, 3), sizes(1)]],
    ['have a fraction as a side', [bytes(24), 0, sizes(1.5), sizes(1)]],
    ['have more than 64 dimensions', [bytes(4), 0, sizes(...Array(65).fill(1)), sizes(...Array(65).fill(1))]],
    ['have a shape that is no tuple', [bytes(24), 0, 6, sizes(1)]],
  ])('are refused if they %s', (_, args) => {
    expect(() => call('torch._utils._rebuild_tensor_v2', ...(args as PickleValue[]))).toThrow();
  });

  it('are refused as parameters if they are no tensors', () => {
    expect(() => call('torch._utils._rebuild_parameter', 7)).toThrow();
    expect(() =>
      call('torch._tensor._rebuild_from_type_v2', 7, named('torch.nn.Parameter'), sizes()),
    ).toThrow();
  });

  it('may be empty or have gaps', () => {
    const empty = call('torch._utils._rebuild_tensor_v2', bytes(0), 9, [0, 3], [3, 1]) as TensorView;
    expect([span(empty), isContiguous(empty)]).toEqual([0, true]);
    expect([
      span({ shape: [2, 3], strides: [1, 2] }),
      isContiguous({ shape: [2, 3], strides: [1, 2] }),
    ]).toEqual([6, false]);
    expect(isContiguous({ shape: [1, 3], strides: [99, 1] })).toBe(true);
  });
});

describe('names that a pickle may not import', () => {
  it.each([
    ['os.system', 'INVALID_FILE'],
    ['torch._utils._rebuild_sparse_tensor', 'UNSUPPORTED_MODEL'],
    ['torch.QInt8Storage', 'UNSUPPORTED_MODEL'],
    ['torch.nn.modules.conv.Conv2d.forward', 'UNSUPPORTED_MODEL'],
    ['__torch__.Model', 'UNSUPPORTED_MODEL'],
  ])('are refused: %s with %s', (name, code) => {
    expect(() => named(name)).toThrow(expect.objectContaining({ code }));
  });
});
