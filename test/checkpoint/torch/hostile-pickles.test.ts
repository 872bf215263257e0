import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import { SafelightError } from '../../../lib/errors.js';
import { scratch } from '../../support/checkpoint/sparse-files.js';
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
const marker = join(folder, 'executed');
let count = 0;
afterAll(() => expect(existsSync(marker)).toBe(false));

async function rejection(file: Uint8Array): Promise<SafelightError> {
  const path = join(folder, `${count++}.ckpt`);
  await writeFile(path, file);
  const error = await openWeights(path).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SafelightError);
  return error as SafelightError;
}

/** Expects a rejection of both file forms with this value in place of the state dict. */
async function rejected(value: Uint8Array, message: RegExp, code = 'INVALID_FILE'): Promise<void> {
  const data = Buffer.alloc(16);
  for (const file of [zipForm(pickle(value), [['0', data]]), legacyForm(pickle(value), [['0', 4, data]])])
    expect(await rejection(file)).toMatchObject({ code, message: expect.stringMatching(message) });
  expect(existsSync(marker)).toBe(false);
}

const command = text(`touch ${marker}`);
const good = tensor(storage('F32', '0', 4), [2, 2]);
const op = (...bytes: number[]): Buffer => Buffer.from(bytes);

describe('a pickle that would run code', () => {
  test.each<[string, Uint8Array, RegExp]>([
    ['os.system by GLOBAL and REDUCE', call(global('os', 'system'), command), /imports "os\.system"/],
    [
      'posix.system among tensors',
      dict({ a: good, b: call(global('posix', 'system'), command) }),
      /"posix\.system"/,
    ],
    ['eval', call(global('builtins', 'eval'), text('1')), /"builtins\.eval"/],
    ['getattr in Python 2', call(global('__builtin__', 'getattr'), text('a'), text('b')), /getattr/],
    [
      'subprocess by STACK_GLOBAL',
      Buffer.concat([text('subprocess'), text('Popen'), op(0x93), tuple(command), ascii('R')]),
      /"subprocess\.Popen"/,
    ],
    [
      'a path through an allowed name',
      Buffer.concat([text('torch._utils'), text('_rebuild_tensor_v2.__globals__'), op(0x93)]),
      /__globals__/,
    ],
    ['the name of an object', Buffer.concat([int(1), int(2), op(0x93)]), /whose name is not a string/],
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
      'BUILD on a class',
      Buffer.concat([global('collections', 'OrderedDict'), dict({ __setstate__: command }), ascii('b')]),
      /sets the state of a value without state/,
    ],
    ['BUILD on a list', Buffer.concat([ascii(']'), dict({ a: command }), ascii('b')]), /sets the state/],
    ['EXT1', op(0x82, 1), /the operation EXT1/],
    ['EXT2', op(0x83, 1, 0), /the operation EXT2/],
    ['EXT4', op(0x84, 1, 0, 0, 0), /the operation EXT4/],
    ['PERSID', ascii('Pos.system\n'), /the operation PERSID/],
    [
      'BINPERSID on a module',
      Buffer.concat([tuple(text('module'), command), ascii('Q')]),
      /persistent id other than a storage/,
    ],
    ['BINPERSID on text', Buffer.concat([command, ascii('Q')]), /persistent id other than a storage/],
    ['REDUCE on text', call(text('os.system'), command), /calls something other than a known class/],
    [
      'REDUCE on a storage class',
      call(global('torch', 'FloatStorage'), command),
      /calls torch\.FloatStorage/,
    ],
    [
      'REDUCE without a tuple',
      Buffer.concat([global('collections', 'OrderedDict'), command, ascii('R')]),
      /calls something other than a known class/,
    ],
    [
      'pickled bytes within torch',
      call(global('torch.storage', '_load_from_bytes'), command),
      /_load_from_bytes/,
    ],
    [
      'a tensor from another function',
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
    ['an outdated protocol', op(0x80, 1), /protocol 1/],
    ['an unknown protocol', op(0x80, 9), /protocol 9/],
    ['an out-of-band buffer', op(0x97), /NEXT_BUFFER/],
  ])('is rejected and runs nothing: %s', (_, value, message) => rejected(value, message));

  test('is rejected if it is a module', () =>
    rejected(
      call(global('torch.nn.modules.linear', 'Linear'), tuple()),
      /pickled module/,
      'UNSUPPORTED_MODEL',
    ));
});

describe('an invalid pickle', () => {
  const raw = storage('F32', '0', 4);
  const rebuild = global('torch._utils', '_rebuild_tensor_v2');
  const typed = global('torch._utils', '_rebuild_tensor_v3');
  test.each<[string, Uint8Array, RegExp]>([
    ['popping from an empty stack', ascii('0'), /pops from an empty stack/],
    ['popping below a mark', ascii('N(s'), /pops from an empty stack/],
    ['closing an unopened mark', ascii('t'), /pops a missing mark/],
    ['a missing memo entry', ascii('hz'), /reads a missing memo entry/],
    [
      'appending to a number',
      Buffer.concat([int(1), int(2), ascii('a')]),
      /appends to something other than a list/,
    ],
    ['setting items of a list', ascii('](NNu'), /other than a dict/],
    ['a key without a value', ascii('}(Nu'), /other than a dict/],
    ['text longer than the file', op(0x8d, 255, 255, 255, 255, 255, 255, 255, 127), /ends too early/],
    ['bytes longer than the file', op(0x42, 255, 255, 255, 255), /ends too early/],
    ['text that is not UTF-8', Buffer.concat([ascii('X'), number(2, 4), op(0xc3, 0x28)]), /not UTF-8/],
    ['an unterminated name', ascii(`c${'x'.repeat(5000)}`), /unterminated name/],
    [
      'a tensor without a storage',
      call(rebuild, text('a'), int(0), tuple(), tuple()),
      /without a typed storage/,
    ],
    ['a tensor without arguments', call(rebuild), /without a typed storage/],
    ['a tensor past its storage', tensor(raw, [2, 3]), /\[2, 3\] that exceeds its storage of 16/],
    ['an offset past its storage', tensor(raw, [2], { offset: 3 }), /exceeds its storage/],
    ['strides past its storage', tensor(raw, [2, 2], { strides: [3, 1] }), /exceeds its storage/],
    ['strides of another rank', tensor(raw, [2, 2], { strides: [1] }), /invalid offset or strides/],
    ['an absurd shape', tensor(raw, [2 ** 40, 2 ** 40], { strides: [2 ** 40, 1] }), /exceeds its storage/],
    [
      'a stride that repeats excessively',
      dict({ a: tensor(raw, [2 ** 40], { strides: [0] }) }),
      /implausible shape \[1099511627776\]|no data for/,
    ],
    ['too many dimensions', tensor(raw, Array(65).fill(1)), /65 dimensions/],
    ['sizes that are text', call(rebuild, raw, int(0), tuple(text('a')), tuple(int(1))), /invalid sizes/],
    ['a negative size', call(rebuild, raw, int(0), tuple(op(0x8a, 1, 0xff)), tuple(int(1))), /invalid sizes/],
    [
      'an unknown type',
      call(typed, raw, int(0), tuple(), tuple(), op(0x89), ascii('}'), text('float32'), ascii('N')),
      /or a type/,
    ],
    [
      'a storage without a type',
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
      'an absurdly large storage',
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
  ])('is rejected for %s', async (_, value, message) => {
    const data = Buffer.alloc(16);
    for (const file of [zipForm(pickle(value), [['0', data]]), legacyForm(pickle(value), [['0', 4, data]])])
      expect(await rejection(file)).toMatchObject({
        code: 'INVALID_FILE',
        message: expect.stringMatching(message),
      });
  });

  test('is rejected if it does not end', async () => {
    expect((await rejection(zipForm(ascii('\x80\x02NNN')))).message).toMatch(/ends too early/);
    expect((await rejection(zipForm(Buffer.alloc(0)))).message).toMatch(/ends too early/);
  });
});

describe('a pickle that would fill the memory', () => {
  /** Tuples of the previous ones, sixteen deep and ten wide; then lists that contain themselves. */
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
    ['millions of open marks', () => million(ascii('(')), /too many marks/],
    ['an endless memo', () => Buffer.concat([ascii('N'), million(op(0x94))]), /too large a memo/],
    ['nested lists', () => wide, /too many nested values/],
    [
      'a list that grows itself',
      () => Buffer.concat([ascii(']q\0'), ...Array(60).fill(ascii('(h\0h\0h\0e'))]),
      /too many nested values|contains no tensors/,
    ],
    [
      'repeatedly copied sets',
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
      'more than 32 MiB',
      () => Buffer.alloc(33 * 1024 * 1024, 'N'),
      /34603011 bytes in .*expected at most 33554432/,
    ],
  ])('is rejected in time for %s', async (_, value, message) => {
    const start = performance.now();
    const body = value();
    expect((await rejection(zipForm(pickle(body)))).message).toMatch(message);
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});
