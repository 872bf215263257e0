/**
 * Objects that training leaves in checkpoints next to the weights: read as data if no tensor depends on them,
 * and rejected by name otherwise.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import { scratch } from '../../support/checkpoint/sparse-files.js';
import { valuesOf } from '../../support/torch/values.js';
import {
  ascii,
  call,
  dict,
  global,
  int,
  legacyForm,
  number,
  pickle,
  storage,
  tensor,
  text,
  tuple,
  zipForm,
} from '../../support/torch/write.js';

const folder = scratch();
let count = 0;
const weights = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);
const good = tensor(storage('F32', '0', 4), [2, 2]);
const op = (...bytes: number[]): Buffer => Buffer.from(bytes);
const none = ascii('N');
const floats = global('torch', 'float32');

/** Returns the names and values of both file forms, which have to be equal. */
async function read(value: Uint8Array, elements = 4): Promise<Record<string, number[]>> {
  const found: Record<string, number[]>[] = [];
  for (const file of [
    zipForm(pickle(value), [['0', weights]]),
    legacyForm(pickle(value), [['0', elements, weights]]),
  ]) {
    const path = join(folder, `${count++}.ckpt`);
    await writeFile(path, file);
    const { tensors } = await openWeights(path);
    found.push(Object.fromEntries([...tensors.values()].map((one) => [one.name, valuesOf(one)])));
  }
  expect(found[1]).toEqual(found[0]);
  return found[0]!;
}

/** `class.__new__(class, *args)`, then the state of the object. */
const made = (type: Uint8Array, args: Uint8Array, state?: Uint8Array): Buffer =>
  Buffer.concat([type, args, op(0x81), ...(state ? [state, ascii('b')] : [])]);
const empty = ascii(')');

const LEFTOVERS: [what: string, value: Uint8Array][] = [
  ['the version of PyTorch', call(global('torch.torch_version', 'TorchVersion'), text('2.1.0+cu118'))],
  ['the version as NEWOBJ', made(global('torch.torch_version', 'TorchVersion'), tuple(text('2.6.0')))],
  [
    'the state of a callback',
    made(
      global('pytorch_lightning.callbacks.model_checkpoint', 'ModelCheckpoint'),
      empty,
      dict({ best: good }),
    ),
  ],
  [
    'a callback as a key',
    Buffer.concat([
      ascii('}('),
      global('lightning.pytorch.callbacks.early_stopping', 'EarlyStopping'),
      dict({ wait: int(3) }),
      ascii('u'),
    ]),
  ],
  [
    'a numpy scalar',
    call(
      global('numpy.core.multiarray', 'scalar'),
      call(global('numpy', 'dtype'), text('f8')),
      Buffer.concat([ascii('C'), number(8, 1), Buffer.alloc(8)]),
    ),
  ],
  [
    'a numpy 2 scalar',
    call(global('numpy._core.multiarray', 'scalar'), global('numpy.dtypes', 'Float64DType'), text('x')),
  ],
  ['a numpy dtype', global('numpy', 'float32')],
  [
    'an array from Python 2',
    call(
      global('numpy.core.multiarray', '_reconstruct'),
      global('numpy', 'ndarray'),
      tuple(int(0)),
      Buffer.concat([ascii('U'), op(4, 0xff, 0xfe, 0x80, 0x00)]),
    ),
  ],
  ['a path', call(global('pathlib', 'PosixPath'), text('/'), text('data'))],
  ['a Namespace of settings', made(global('argparse', 'Namespace'), empty, dict({ lr: int(1) }))],
  [
    'settings of OmegaConf',
    made(
      global('omegaconf.dictconfig', 'DictConfig'),
      empty,
      dict({ _content: made(global('omegaconf.nodes', 'AnyNode'), empty, dict({ a: int(1) })) }),
    ),
  ],
  ['a set', call(global('builtins', 'set'), Buffer.concat([ascii(']('), int(1), ascii('e')]))],
  ['a slice', call(global('builtins', 'slice'), int(0), int(4), none)],
  ['a complex number', call(global('builtins', 'complex'), int(0), int(4))],
  ['bytes', call(global('_codecs', 'encode'), text('abc'), text('latin1'))],
  ['a bytearray', call(global('builtins', 'bytearray'), text('abc'), text('latin1'))],
  ['a range', call(global('builtins', 'range'), int(0), int(4), int(1))],
  ['a counter', call(global('collections', 'Counter'), dict({ '100': int(1) }))],
  ['a defaultdict', call(global('collections', 'defaultdict'), global('builtins', 'list'))],
  ['a time', call(global('datetime', 'datetime'), text('x'))],
  ['an enum', call(global('transformers.trainer_utils', 'IntervalStrategy'), text('steps'))],
  ["an enum of a user's script", call(global('__main__', 'Mode'), int(1))],
  ['an enum of a library', call(global('torch.distributed.fsdp.api', 'StateDictType'), int(1))],
  ['a big integer', call(global('decimal', 'Decimal'), text('0.1'))],
  ['a partial function', made(global('functools', 'partial'), tuple(global('torch.nn.functional', 'gelu')))],
  [
    'a custom class',
    made(global('ldm.lr_scheduler', 'LambdaLinearScheduler'), empty, dict({ last_lr: int(1) })),
  ],
  [
    'an object that refers to itself',
    Buffer.concat([
      global('my.trainer', 'State'),
      empty,
      op(0x81, 0x94),
      dict({ me: int(0) }),
      ascii('b('),
      text('self'),
      ascii('h\0u'),
    ]),
  ],
  ["a function of a user's script", global('train', 'cosine_schedule')],
  ['a device', call(global('torch', 'device'), text('cuda'), int(0))],
  ['a dtype', global('torch', 'bfloat16')],
  ['an unsupported dtype', global('torch', 'quint8')],
  ['a layout', call(global('torch.serialization', '_get_layout'), text('torch.strided'))],
  ['an optimizer', made(global('torch.optim.adamw', 'AdamW'), empty, dict({ state: good }))],
  ['a loss', made(global('torch.nn.modules.loss', 'MSELoss'), empty, dict({ training: op(0x88) }))],
  ['a generator', made(global('torch', 'Generator'), empty)],
  ['a size', call(global('torch', 'Size'), tuple(int(2), int(2)))],
  ['a storage without a type', call(global('torch.storage', 'TypedStorage'))],
  ['a nested class', Buffer.concat([text('my.module'), text('Outer.Inner'), op(0x93), empty, op(0x81)])],
];

describe('an object left by training', () => {
  test.each(LEFTOVERS)('does not prevent reading the weights: %s', async (_, leftover) => {
    expect(await read(dict({ state_dict: dict({ a: good }), leftover }))).toEqual({ a: [1, 2, 3, 4] });
    // Among the tensors, too.
    expect(await read(dict({ leftover, a: good }))).toEqual(expect.objectContaining({ a: [1, 2, 3, 4] }));
  });
});

describe('tensors', () => {
  const onDevice = (module: string, name = 'FloatStorage') =>
    tensor(
      Buffer.concat([
        tuple(text('storage'), global(module, name), text('0'), text('cuda:0'), int(4)),
        ascii('Q'),
      ]),
      [2, 2],
    );
  const bytes = Buffer.concat([
    tuple(text('storage'), global('torch.storage', 'UntypedStorage'), text('0'), text('cpu'), int(16)),
    ascii('Q'),
  ]);
  const typed = global('torch.storage', 'TypedStorage');
  const typedOld = global('torch.storage', '_TypedStorage');
  const named = dict({ wrap_storage: bytes, dtype: floats, _internal: op(0x88) });
  const fromType = (rebuild: string, type: Uint8Array) =>
    call(
      global('torch._tensor', rebuild),
      global('torch._utils', '_rebuild_tensor_v2'),
      type,
      tuple(
        storage('F32', '0', 4),
        int(0),
        tuple(int(2), int(2)),
        tuple(int(2), int(1)),
        op(0x89),
        ascii('}'),
      ),
      dict({ note: text('x') }),
    );

  test.each<[string, Buffer]>([
    ['a CUDA storage', onDevice('torch.cuda')],
    ['a storage of another device', onDevice('torch.xpu')],
    [
      'a typed storage of bytes',
      tensor(made(typed, empty, dict({ _untyped_storage: bytes, dtype: floats })), [2, 2]),
    ],
    [
      'a typed storage with keyword arguments',
      tensor(Buffer.concat([typed, empty, named, op(0x92)]), [2, 2]),
    ],
    ['a typed storage under its first name', tensor(call(typedOld, bytes, floats), [2, 2])],
    ['a typed storage of a storage with a type', tensor(call(typed, storage('F32', '0', 4)), [2, 2])],
    ['a Parameter', call(global('torch._utils', '_rebuild_parameter'), good, op(0x88), ascii('}'))],
    [
      'a Parameter with state',
      call(
        global('torch._utils', '_rebuild_parameter_with_state'),
        good,
        op(0x88),
        ascii('}'),
        dict({ a: int(1) }),
      ),
    ],
    ['a Parameter by its class', made(global('torch.nn.parameter', 'Parameter'), tuple(good, op(0x88)))],
    ['a Parameter by its short name', call(global('torch.nn', 'Parameter'), good)],
    [
      'a tensor with attributes',
      fromType('_rebuild_from_type_v2', global('torch.nn.parameter', 'Parameter')),
    ],
    ['a tensor with attributes in older files', fromType('_rebuild_from_type', global('torch', 'Tensor'))],
  ])('are read completely from %s', async (_, value) => {
    const elements = value.includes('UntypedStorage') ? 16 : 4;
    expect(await read(dict({ state_dict: dict({ a: value }) }), elements)).toEqual({ a: [1, 2, 3, 4] });
  });

  test("are read from a storage of class TypedStorage with the tensor's type", async () => {
    const stored = Buffer.concat([tuple(text('storage'), typed, text('0'), text('cpu'), int(4)), ascii('Q')]);
    const rebuild = global('torch._utils', '_rebuild_tensor_v3');
    const value = call(
      rebuild,
      stored,
      int(0),
      tuple(int(4)),
      tuple(int(1)),
      op(0x89),
      ascii('}'),
      floats,
      ascii('}'),
    );
    const path = join(folder, `${count++}.ckpt`);
    await writeFile(path, zipForm(pickle(dict({ a: value })), [['0', weights]]));
    expect(valuesOf((await openWeights(path)).tensors.get('a')!)).toEqual([1, 2, 3, 4]);
  });
});

describe('a tensor that depends on an unknown object', () => {
  const unknown = (...args: Uint8Array[]) => call(global('my.quant', 'unpack_tensor'), ...args);
  const raw = storage('F32', '0', 4);
  test.each<[string, Uint8Array, RegExp]>([
    [
      'a function that creates it from a storage',
      dict({ a: unknown(raw, int(2)), b: good }),
      /asks for "my\.quant\.unpack_tensor" to make "a"/,
    ],
    [
      'a function that creates it from a tensor',
      dict({ b: good, deep: dict({ a: unknown(tuple(good)) }) }),
      /"my\.quant\.unpack_tensor" to make "deep\.a"/,
    ],
    [
      'a Parameter of it',
      dict({
        b: good,
        a: call(global('torch._utils', '_rebuild_parameter'), unknown(int(1)), op(0x88), ascii('}')),
      }),
      /unpack_tensor/,
    ],
    ['a rebuilt tensor of it', dict({ b: good, a: tensor(unknown(int(1)), [2, 2]) }), /unpack_tensor/],
    [
      'a tensor subclass',
      dict({
        b: good,
        a: call(
          global('torch._tensor', '_rebuild_from_type_v2'),
          global('torch._utils', '_rebuild_tensor_v2'),
          global('torchao.dtypes', 'Quantized'),
          tuple(raw, int(0), tuple(int(2)), tuple(int(1))),
          ascii('}'),
        ),
      }),
      /asks for "torchao\.dtypes\.Quantized" to make "a"/,
    ],
    [
      'a custom dict',
      dict({
        b: good,
        state_dict: Buffer.concat([
          made(global('my.dicts', 'StateDict'), empty),
          ascii('('),
          text('a'),
          good,
          ascii('u'),
        ]),
      }),
      /"my\.dicts\.StateDict"/,
    ],
    [
      'a custom model',
      dict({ epoch: int(1), model: made(global('models.yolo', 'Model'), empty, dict({ a: good })) }),
      /"models\.yolo\.Model"/,
    ],
    [
      'a custom model next to other tensors',
      dict({
        optimizer: dict({ m: good }),
        model: made(global('models.yolo', 'Model'), empty, dict({ a: good })),
      }),
      /"models\.yolo\.Model" to make "model"/,
    ],
    [
      'the whole saved object',
      made(global('models.yolo', 'Model'), empty, dict({ a: good })),
      /"models\.yolo\.Model"/,
    ],
    [
      'a storage of an unknown kind',
      dict({
        a: tensor(
          Buffer.concat([
            tuple(text('storage'), global('my.storages', 'Fancy'), text('0'), text('cpu'), int(4)),
            ascii('Q'),
          ]),
          [2, 2],
        ),
      }),
      /no known type \(my\.storages\.Fancy\)/,
    ],
  ])('is rejected by name: %s', async (_, value, message) => {
    await expect(read(value)).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringMatching(message),
    });
  });

  test('is rejected as a whole module if it is one', async () => {
    const module = made(global('torch.nn.modules.linear', 'Linear'), empty, dict({ weight: good }));
    for (const value of [module, dict({ model: module }), dict({ anything: module })])
      await expect(read(value)).rejects.toMatchObject({
        code: 'UNSUPPORTED_MODEL',
        message: expect.stringMatching(/whole module \("torch\.nn\.modules\.linear\.Linear"\)/),
      });
  });
});

describe('a name that can run code is rejected, even among training leftovers', () => {
  test.each([
    ['os', 'popen'],
    ['nt', 'system'],
    ['builtins', 'exec'],
    ['builtins', '__import__'],
    ['__builtin__', 'apply'],
    ['runpy', 'run_path'],
    ['importlib', 'import_module'],
    ['operator', 'attrgetter'],
    ['functools', 'reduce'],
    ['_pickle', 'loads'],
    ['_posixsubprocess', 'fork_exec'],
    ['asyncio.unix_events', '_UnixSubprocessTransport'],
    ['webbrowser', 'open'],
    ['socket', 'socket'],
    ['pip._internal', 'main'],
    ['requests.api', 'get'],
    ['torch', 'load'],
    ['torch.hub', 'load'],
    ['torch.jit', 'load'],
    ['torch.storage', '_load_from_bytes'],
    ['torch.utils.cpp_extension', 'load_inline'],
    ['torch.serialization', 'load'],
    ['numpy', 'load'],
    ['numpy.testing._private.utils', 'runstring'],
    ['numpy.f2py.crackfortran', 'getlincoef'],
    ['my.module', 'f.__globals__'],
    ['my.module', '__reduce__'],
    ['my.module', 'function.attribute'],
    ['my module', 'f'],
    ['', 'f'],
  ])('rejects %s.%s', async (module, name) => {
    const found = Buffer.concat([text(module), text(name), op(0x93)]);
    const value = dict({ state_dict: dict({ a: good }), leftover: call(found, text('x')) });
    await expect(read(value)).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringMatching(/asks for ".*", which weights do not need; nothing was executed/),
    });
  });
});

test('rejects millions of steps over leftovers in time', async () => {
  const object = Buffer.concat([global('my.trainer', 'State'), empty, op(0x81), ascii('q\0')]);
  const value = dict({ a: good, leftover: Buffer.concat([object, ...Array(100_000).fill(ascii('h\0a'))]) });
  const start = performance.now();
  expect(await read(value)).toEqual({ a: [1, 2, 3, 4] });
  expect(performance.now() - start).toBeLessThan(20_000);
});
