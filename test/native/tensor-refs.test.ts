import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NativeModuleHandle, NativeTensorHandle } from '../../lib/binding/types.js';
import { createModule, type Fixture, readFixture } from '../support/native-modules.js';
import { tensorRefTests, unetInputs } from './tensor-refs.js';
import { removeFiles } from './tiny.js';

afterAll(removeFiles);

describe('outputs that are kept on the CPU', () => tensorRefTests({ backend: 'cpu' }));
describe('outputs that stock operations keep', () => tensorRefTests({ backend: 'cpu', stockOps: true }));

describe('the handles of the addon', () => {
  let fixture: Fixture;
  let unet: NativeModuleHandle;
  let deep: NativeTensorHandle;
  const shallow = (given: unknown) => {
    const inputs = { ...unetInputs(fixture), deep: given as NativeTensorHandle };
    return unet.run('shallow', inputs, { params: { branch: 1 } });
  };

  beforeAll(async () => {
    fixture = await readFixture('unet-sd1');
    unet = await createModule(fixture);
    const how = { params: { branch: 1 }, keep: ['deep'] };
    deep = (await unet.run('forward', unetInputs(fixture), how).promise).kept.deep!;
  });
  afterAll(() => unet.dispose());

  it('are made by runs alone', () => {
    const Handle = deep.constructor as new (...args: unknown[]) => unknown;
    for (const args of [[], [deep], [unet]]) expect(() => new Handle(...args)).toThrow(TypeError);
    expect(() => deep.slice.call(unet as unknown as NativeTensorHandle, 0, 1)).toThrow(TypeError);
  });

  it('are told from everything else that an input could be', async () => {
    expect((await shallow(deep).promise).outputs.sample!.shape[0]).toBe(2);
    const prototype = Object.getPrototypeOf(deep) as object;
    const strangers = [
      unet,
      Object.create(deep as object),
      Object.create(prototype),
      new Proxy(deep, {}),
      { ...deep },
      [Object.create(prototype)],
      [[deep]],
      new Array(3),
    ];
    for (const given of strangers)
      expect(() => shallow(given)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });

  it('can go while their inputs are read', async () => {
    const own = deep.slice(0, 2);
    const list = [own, own];
    Object.defineProperty(list, 1, {
      get: () => {
        own.dispose();
        return own;
      },
    });
    expect(() => shallow(list)).toThrow(expect.objectContaining({ code: 'DISPOSED' }));
  });
});
