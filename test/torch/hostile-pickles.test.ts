import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openWeights } from '../../lib/checkpoint/formats/open-weights.js';
import { SafelightError } from '../../lib/errors.js';
import { scratch } from '../weights/files.js';
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
} from './write.js';

const folder = scratch();
const marker = join(folder, 'executed');
let count = 0;
afterAll(() => expect(existsSync(marker)).toBe(false));

async function refusal(file: Uint8Array): Promise<SafelightError> {
  const path = join(folder, `${count++}.ckpt`);
  await writeFile(path, file);
  const error = await openWeights(path).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SafelightError);
  return error as SafelightError;
}

/** In both forms of a file, what stands in the place of the state dict. */
async function refused(value: Uint8Array, message: RegExp, code = 'INVALID_FILE'): Promise<void> {
  const data = Buffer.alloc(16);
  for (const file of [zipForm(pickle(value), [['0', data]]), legacyForm(pickle(value), [['0', 4, data]])])
    expect(await refusal(file)).toMatchObject({ code, message: expect.stringMatching(message) });
  expect(existsSync(marker)).toBe(false);
}

const command = text(`touch ${marker}`);
const good = tensor(storage('F32', '0', 4), [2, 2]);
const op = (...bytes: number[]): Buffer => Buffer.from(bytes);

describe('a pickle that would run something is refused, and nothing runs', () => {
  test.each<[string, Uint8Array, RegExp]>([
    ['os.system by GLOBAL and REDUCE', call(global('os', 'system'), command), /imports "os\.system"/],
    [
      'posix.system among tensors',
      dict({ a: good, b: call(global('posix', 'system'), command) }),
      /"posix\.system"/,
    ],
    ['eval', call(global('builtins', 'eval'), text('1')), /"builtins\.eval"/],
    ['getattr of Python 2', call(global('__builtin__', 'getattr'), text('a'), text('b')), /getattr/],
    [
      'subprocess by STACK_GLOBAL',
      Buffer.concat([text('subprocess'), text('Popen'), op(0x93), tuple(command), ascii('R')]),
      /"subprocess\.Popen"/,
    ],
    [
      'a path through a known name',
      Buffer.concat([text('torch._utils'), text('_rebuild_tensor_v2.__globals__'), op(0x93)]),
      /__globals__/,
    ],
    ['a name of objects', Buffer.concat([int(1), int(2), op(0x93)]), /whose name is not a string/],
    ['INST', Buffer.concat([ascii('('), command, ascii('ios\nsystem\n')]), /the operation INST/],
    [
      'OBJ',
      Buffer.concat([ascii('('), global('collections', 'OrderedDict'), ascii('o')]),
      /the operation OBJ/,
    ],
    ['NEWOBJ', Buffer.concat([global('os', 'system'), tuple(command), op(0x81)]), /"os\.system"/],
    [
      'NEWOBJ_EX',
      Buffer.concat([global('os', 'system'), tuple(command), ascii('}'), op(0x92)]),
      /"os\.system"/,
    ],
    [
      'BUILD of a class',
      Buffer.concat([global('collections', 'OrderedDict'), dict({ __setstate__: command }), ascii('b')]),
      /sets the state of a value without state/,
    ],
    ['BUILD of a list', Buffer.concat([ascii(']'), dict({ a: command }), ascii('b')]), /sets the state/],
    ['EXT1', op(0x82, 1), /the operation EXT1/],
    ['EXT2', op(0x83, 1, 0), /the operation EXT2/],
    ['EXT4', op(0x84, 1, 0, 0, 0), /the operation EXT4/],
    ['PERSID', ascii('Pos.system\n'), /the operation PERSID/],
    [
      'BINPERSID of a module',
      Buffer.concat([tuple(text('module'), command), ascii('Q')]),
      /persistent id other than a storage/,
    ],
    ['BINPERSID of text', Buffer.concat([command, ascii('Q')]), /persistent id other than a storage/],
    ['REDUCE of text', call(text('os.system'), command), /calls something other than a known class/],
    [
      'REDUCE of a storage class',
      call(global('torch', 'FloatStorage'), command),
      /calls torch\.FloatStorage/,
    ],
    [
      'REDUCE without a tuple',
      Buffer.concat([global('collections', 'OrderedDict'), command, ascii('R')]),
      /calls something other than a known class/,
    ],
    [
      'pickled bytes in torch',
      call(global('torch.storage', '_load_from_bytes'), command),
      /_load_from_bytes/,
    ],
    [
      'a tensor by something else',
      call(
        global('torch._tensor', '_rebuild_from_type_v2'),
        global('collections', 'OrderedDict'),
        global('torch', 'Tensor'),
        tuple(),
        tuple(),
      ),
      /with an unsupported function/,
    ],
    ['an unknown operation', op(0xff), /the operation 0xff/],
    ['an old protocol', op(0x80, 1), /protocol 1/],
    ['a new protocol', op(0x80, 9), /protocol 9/],
    ['an out-of-band buffer', op(0x97), /NEXT_BUFFER/],
  ])('%s', (_, value, message) => refused(value, message));

  test('a module of its own', () =>
    refused(
      call(global('torch.nn.modules.linear', 'Linear'), tuple()),
      /pickled module/,
      'UNSUPPORTED_MODEL',
    ));
});

describe('a pickle that makes no sense is refused', () => {
  const raw = storage('F32', '0', 4);
  const rebuild = global('torch._utils', '_rebuild_tensor_v2');
  const typed = global('torch._utils', '_rebuild_tensor_v3');
  test.each<[string, Uint8Array, RegExp]>([
    ['takes from an empty stack', ascii('0'), /pops from an empty stack/],
    ['takes below a mark', ascii('N(s'), /pops from an empty stack/],
    ['closes what is not open', ascii('t'), /pops a missing mark/],
    ['recalls nothing', ascii('hz'), /reads a missing memo entry/],
    [
      'appends to a number',
      Buffer.concat([int(1), int(2), ascii('a')]),
      /appends to something other than a list/,
    ],
    ['sets items of a list', ascii('](NNu'), /other than a dict/],
    ['sets half an item', ascii('}(Nu'), /other than a dict/],
    ['text longer than the file', op(0x8d, 255, 255, 255, 255, 255, 255, 255, 127), /ends too early/],
    ['bytes longer than the file', op(0x42, 255, 255, 255, 255), /ends too early/],
    ['text that is not UTF-8', Buffer.concat([ascii('X'), number(2, 4), op(0xc3, 0x28)]), /not UTF-8/],
    ['a name without an end', ascii(`c${'x'.repeat(5000)}`), /unterminated name/],
    ['a tensor of no storage', call(rebuild, text('a'), int(0), tuple(), tuple()), /without a typed storage/],
    ['a tensor of no arguments', call(rebuild), /without a typed storage/],
    ['a tensor past its storage', tensor(raw, [2, 3]), /\[2, 3\] that exceeds its storage of 16/],
    ['an offset past its storage', tensor(raw, [2], { offset: 3 }), /exceeds its storage/],
    ['strides past its storage', tensor(raw, [2, 2], { strides: [3, 1] }), /exceeds its storage/],
    ['strides of another rank', tensor(raw, [2, 2], { strides: [1] }), /invalid offset or strides/],
    ['an absurd shape', tensor(raw, [2 ** 40, 2 ** 40], { strides: [2 ** 40, 1] }), /exceeds its storage/],
    [
      'a stride that repeats absurdly',
      dict({ a: tensor(raw, [2 ** 40], { strides: [0] }) }),
      /implausible shape \[1099511627776\]|no data for/,
    ],
    ['too many dimensions', tensor(raw, Array(65).fill(1)), /65 dimensions/],
    ['sizes of text', call(rebuild, raw, int(0), tuple(text('a')), tuple(int(1))), /invalid sizes/],
    ['a negative size', call(rebuild, raw, int(0), tuple(op(0x8a, 1, 0xff)), tuple(int(1))), /invalid sizes/],
    [
      'a type that is none',
      call(typed, raw, int(0), tuple(), tuple(), op(0x89), ascii('}'), text('float32'), ascii('N')),
      /or a type/,
    ],
    [
      'a storage of no type',
      Buffer.concat([tuple(text('storage'), text('x'), text('0'), text('cpu'), int(4)), ascii('Q')]),
      /unknown type/,
    ],
    [
      'a storage without a key',
      Buffer.concat([
        tuple(text('storage'), global('torch', 'FloatStorage'), int(1), text('cpu'), int(4)),
        ascii('Q'),
      ]),
      /without a key/,
    ],
    [
      'a storage of absurd size',
      Buffer.concat([
        tuple(
          text('storage'),
          global('torch', 'FloatStorage'),
          text('0'),
          text('cpu'),
          op(0x8a, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1),
        ),
        ascii('Q'),
      ]),
      /implausible size/,
    ],
  ])('%s', async (_, value, message) => {
    const data = Buffer.alloc(16);
    for (const file of [zipForm(pickle(value), [['0', data]]), legacyForm(pickle(value), [['0', 4, data]])])
      expect(await refusal(file)).toMatchObject({
        code: 'INVALID_FILE',
        message: expect.stringMatching(message),
      });
  });

  test('without an end', async () => {
    expect((await refusal(zipForm(ascii('\x80\x02NNN')))).message).toMatch(/ends too early/);
    expect((await refusal(zipForm(Buffer.alloc(0)))).message).toMatch(/ends too early/);
  });
});

describe('a pickle that would fill memory is refused in time', () => {
  /** Tuples of the one before, sixteen deep and ten wide; then lists that hold themselves. */
  const wide = Buffer.concat([
    ascii(']'),
    ...Array.from({ length: 20 }, (_, i) =>
      Buffer.concat([ascii('q'), op(i), ascii('0('), ...Array(10).fill(op(0x68, i)), ascii('l')]),
    ),
  ]);
  const million = (bytes: Uint8Array, times = 1): Buffer =>
    Buffer.alloc(bytes.length * times * 1_000_000, bytes);
  test.each<[string, () => Uint8Array, RegExp]>([
    ['millions of dicts', () => million(ascii('}')), /creates more than 500000 values/],
    ['millions of steps', () => million(ascii('N'), 3), /more than 2000000 steps/],
    ['millions of copies', () => Buffer.concat([ascii('}'), million(ascii('2'))]), /creates more than/],
    ['millions of open groups', () => million(ascii('(')), /too many marks/],
    ['a memo without end', () => Buffer.concat([ascii('N'), million(op(0x94))]), /too large a memo/],
    ['a list of a list of a list', () => wide, /too many nested values/],
    [
      'a list that grows by itself',
      () => Buffer.concat([ascii(']q\0'), ...Array(60).fill(ascii('(h\0h\0h\0e'))]),
      /too many nested values|contains no tensors/,
    ],
    [
      'sets copied over and over',
      () =>
        Buffer.concat([
          ascii(']('),
          Buffer.alloc(400_000, 'N'),
          ascii('eq\0'),
          ...Array(50).fill(Buffer.concat([global('builtins', 'set'), ascii('h\0\x85R')])),
        ]),
      /creates more than/,
    ],
    [
      '32 MiB and more',
      () => Buffer.alloc(33 * 1024 * 1024, 'N'),
      /34603011 bytes in .*expected at most 33554432/,
    ],
  ])('%s', async (_, value, message) => {
    const start = performance.now();
    const body = value();
    expect((await refusal(zipForm(pickle(body)))).message).toMatch(message);
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});
