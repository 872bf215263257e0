import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import { SafelightError } from '../../../lib/errors.js';
import { noise } from '../../native/tiny.js';
import { scratch } from '../../support/checkpoint/sparse-files.js';
import { FIXTURES, valuesOf } from '../../support/torch/values.js';
import { zipForm } from '../../support/torch/write.js';

const folder = scratch();

/** Changes, inserts, removes, repeats or swaps some bytes. */
function mutated(original: Buffer, random: () => number): Buffer {
  const below = (limit: number): number => Math.floor((random() + 0.5) * limit);
  let bytes = Buffer.from(original);
  for (let left = 1 + below(4); left > 0; left--) {
    const at = below(bytes.length);
    const length = 1 + below(12);
    const kind = below(6);
    if (kind === 0) bytes[at] = below(256);
    else if (kind === 1) bytes[at] = bytes[at]! ^ (1 << below(8));
    else if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    else if (kind === 3)
      bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(below(at + 1), at), bytes.subarray(at)]);
    else if (kind === 4)
      bytes.fill([0, 0xff, 0x7f, 0x28][below(4)]!, at, Math.min(bytes.length, at + length));
    else bytes = bytes.subarray(0, Math.max(1, at));
  }
  return bytes;
}

/** Returns the pickle of a zip file, to be put into an archive with valid checksums. */
function pickleOf(file: Buffer): Buffer {
  const start = file.indexOf(Buffer.from([0x80, 2]), 30);
  return file.subarray(start, file.indexOf('PK', start));
}

const views = readFileSync(join(FIXTURES, 'views.pt'));
const lightning = readFileSync(join(FIXTURES, 'lightning.ckpt'));
const storages = Array.from({ length: 40 }, (_, i): [string, Buffer] => [String(i), Buffer.alloc(200)]);

test.each<[string, Buffer, (bytes: Buffer) => Buffer]>([
  ['an archive', views, (bytes) => bytes],
  ['the pickle of an archive', pickleOf(views), (bytes) => zipForm(bytes, storages)],
  ['the pickle of a training run', pickleOf(lightning), (bytes) => zipForm(bytes, storages)],
  ['a legacy file', readFileSync(join(FIXTURES, 'views-legacy.pt')), (bytes) => bytes],
])('reads or rejects %s with any damage', async (name, original, wrap) => {
  const path = join(folder, name.replaceAll(' ', '-'));
  const random = noise(name.length);
  let read = 0;
  for (let i = 0; i < 150; i++) {
    await writeFile(path, wrap(mutated(original, random)));
    try {
      for (const tensor of (await openWeights(path, { ema: i % 2 === 1 })).tensors.values()) valuesOf(tensor);
      read++;
    } catch (error) {
      expect(error, String(error)).toBeInstanceOf(SafelightError);
      expect((error as SafelightError).message).toMatch(/^\/.{20,1000}$/);
    }
  }
  // Otherwise the mutations would test nothing after the first check.
  expect(read).toBeLessThan(125);
});
