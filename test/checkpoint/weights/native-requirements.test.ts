import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { requirements } from '../../../lib/binding/module.js';
import type { ModuleKind, NativeConfig } from '../../../lib/binding/types.js';
import { openModel } from '../../../lib/families/registry.js';
import { checkpoint, type ReferenceComponent, reference } from '../../support/checkpoint/reference-names.js';
import { scratch, writeSparse } from '../../support/checkpoint/sparse-files.js';

const folder = scratch();

/** Returns the parameters that C++ requires, in the fixture's terms: 1x1 convolutions are matrices there. */
function asked(kind: ModuleKind, config: object): Map<string, string> {
  return new Map(requirements(kind, config as NativeConfig).map(({ name, shape }) => [name, key(shape)]));
}

function key(shape: readonly number[]): string {
  const ones = shape.length === 4 && shape[2] === 1 && shape[3] === 1;
  return (ones ? shape.slice(0, 2) : shape).join('x');
}

function given({ rows }: ReferenceComponent): Map<string, string> {
  return new Map(rows.map(([name, shape]) => [name, key(shape)]));
}

describe.each(Object.keys(reference))('the modules of %s', (name) => {
  test('require exactly the parameters of the file', async () => {
    const family = reference[name]!;
    const source = await openModel(
      await writeSparse(join(folder, `${name}.safetensors`), checkpoint(family)),
    );
    expect(asked('unet', source.unet.config)).toEqual(given(family.unet));
    expect(asked('autoencoder_kl', source.autoencoder.config)).toEqual(given(family.vae));
    source.textEncoders.forEach(({ config }, i) => {
      expect(asked('text_encoder', config)).toEqual(given(family.text_encoders[i]!));
    });
  });
});
