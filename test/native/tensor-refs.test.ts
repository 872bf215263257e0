import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NativeModuleHandle, NativeTensorHandle } from '../../lib/binding/types.js';
import { createModule, type Fixture, readFixture } from '../support/native-modules.js';
import { tensorRefTests, unetInputs } from './tensor-refs.js';
import { removeFiles } from './tiny.js';

afterAll(removeFiles);

describe('kept outputs on the CPU', () => tensorRefTests({ backend: 'cpu' }));
describe('kept outputs with stock operations', () => tensorRefTests({ backend: 'cpu', stockOps: true }));

describe('tensor handles of the addon', () => {
  let fixture: Fixture;
  let unet: NativeModuleHandle;
  let deep: NativeTensorHandle;
  const shallow = (input: unknown) => {
    const inputs = { ...unetInputs(fixture), deep: input as NativeTensorHandle };
    return unet.run('shallow', inputs, { params: { branch: 1 } });
  };

  beforeAll(async () => {
    fixture = await readFixture('unet-sd1');
    unet = await createModule(fixture);
    const options = { params: { branch: 1 }, keep: ['deep'] };
    deep = (await unet.run('forward', unetInputs(fixture), options).promise).kept.deep!;
  });
  afterAll(() => unet.dispose());

  it('cannot be constructed from JavaScript', () => {
    const Handle = deep.constructor as new (...args: unknown[]) => unknown;
    for (const args of [[], [deep], [unet]]) expect(() => new Handle(...args)).toThrow(TypeError);
    expect(() => deep.slice.call(unet as unknown as NativeTensorHandle, 0, 1)).toThrow(TypeError);
  });

  it('rejects objects that only look like handles', async () => {
    expect((await shallow(deep).promise).outputs.sample!.shape[0]).toBe(2);
    const prototype = Object.getPrototypeOf(deep) as object;
    const imitations = [
      unet,
      Object.create(deep as object),
      Object.create(prototype),
      new Proxy(deep, {}),
      { ...deep },
      [Object.create(prototype)],
      [[deep]],
      new Array(3),
    ];
    for (const input of imitations)
      expect(() => shallow(input)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });

  it('throws DISPOSED for a handle that a getter disposes while inputs are read', async () => {
    const handle = deep.slice(0, 2);
    const list = [handle, handle];
    Object.defineProperty(list, 1, {
      get: () => {
        handle.dispose();
        return handle;
      },
    });
    expect(() => shallow(list)).toThrow(expect.objectContaining({ code: 'DISPOSED' }));
  });
});
