/** The whole-image cases that `test/reference/pipelines.py` wrote, and their options in Safelight. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GenerateOptions } from '../../lib/pipelines/options.js';
import { Tensor } from '../../lib/tensor/tensor.js';
import { FIXTURES, readJson, type TinyModel } from './tiny-models.js';

type Option = string | number | boolean | readonly number[] | Readonly<Record<string, number>>;

export interface Case {
  readonly name: string;
  readonly model: TinyModel;
  /** Names of the command line's options, in camel case. */
  readonly options: Readonly<Record<string, Option>>;
  /** Changes to the model's scheduler config. */
  readonly scheduler?: Record<string, unknown>;
  /** Expected PNG files. */
  readonly images: readonly string[];
}

export const cases = readJson<Case[]>(join(FIXTURES, 'cases.json'));

export function caseNamed(name: string): Case {
  const found = cases.find((one) => one.name === name);
  if (!found) throw new Error(`there is no case ${name}`);
  return found;
}

/** Returns options of the API; those of the model (`prediction`) are omitted. */
export function generateOptions({ options }: Case): GenerateOptions {
  const hires: Record<string, unknown> = {};
  const plain: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    if (name.startsWith('hires')) hires[name[5]!.toLowerCase() + name.slice(6)] = value;
    else if (name === 'init' || name === 'mask') plain[name] = imagePath(String(value));
    else if (name !== 'prediction') plain[name] = value;
  }
  return { ...plain, ...(Object.keys(hires).length > 0 ? { hires } : {}) } as unknown as GenerateOptions;
}

/** Returns the arguments of `safelight generate`, without the model. */
export function commandLine({ options }: Case): string[] {
  const { prompt, ...rest } = options;
  return [
    ...Object.entries(rest).flatMap(([name, value]) => {
      const option = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
      if (value === true) return [option];
      return [option, name === 'init' || name === 'mask' ? imagePath(String(value)) : String(value)];
    }),
    '--',
    String(prompt),
  ];
}

export function imagePath(name: string): string {
  return join(FIXTURES, 'images', name);
}

export function expectedPath(name: string): string {
  return join(FIXTURES, 'expected', name);
}

/** Returns the final latents `[count, C, h, w]`. */
export function expectedLatents(one: Case): Tensor {
  return readLatent(expectedPath(`${one.name}.npy`));
}

export function readLatent(path: string): Tensor {
  return Tensor.fromNpy(readFileSync(path)) as Tensor;
}

/** max |a - b| / max |b| */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let [difference, largest] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(actual[i]! - expected[i]!)); // NaN stays NaN
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  return difference / largest;
}

/** Returns the largest difference of two images' bytes. */
export function largestDifference(actual: Uint8Array, expected: Uint8Array): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  return actual.reduce((largest, value, i) => Math.max(largest, Math.abs(value - expected[i]!)), 0);
}
