/**
 * The U-Nets of `test/reference/unets.py`: the same weights and inputs, from hashes of their names, and the
 * reference's outputs.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readSafetensors } from '../../lib/checkpoint/formats/safetensors.js';
import type { UNetInputs } from '../../lib/modules/unet.js';
import { Tensor } from '../../lib/tensor/tensor.js';
import { f16Tensor, noise, type RawTensor, type Row, readJson } from './tiny-models.js';

const FIXTURES = fileURLToPath(new URL('../fixtures/unets/', import.meta.url));

export interface Case {
  readonly name: string;
  /** Naming scheme: diffusers' with a config.json, or CompVis' with the parameters of a YAML. */
  readonly kind: 'diffusers' | 'ldm';
  readonly config: Record<string, unknown>;
  /** `[batch, height, width]` of each sample. */
  readonly sizes: readonly (readonly [number, number, number])[];
  readonly taps: readonly string[];
  readonly channels: number;
  /** Number of tokens and width of the context. */
  readonly context?: readonly [number, number];
  readonly labels?: readonly number[] | 'numbers';
  /** Width of a label. */
  readonly width?: number;
  readonly rows: readonly Row[];
}

export const cases = readJson<Case[]>(join(FIXTURES, 'cases.json'));

export function caseNamed(name: string): Case {
  const found = cases.find((one) => one.name === name);
  if (!found) throw new Error(`there is no case ${name}`);
  return found;
}

/** @param rename returns a tensor's name in the file */
export function tensorsOf({ rows }: Case, rename = (name: string) => name): Map<string, RawTensor> {
  return new Map(rows.map((row) => [rename(row[1]), f16Tensor(row)]));
}

/** Returns inputs of the size with index `number`. */
export function inputsOf(one: Case, number: number): UNetInputs {
  const [batch, height, width] = one.sizes[number]!;
  const of = (what: string, ...shape: number[]) =>
    Tensor.from(
      noise(
        `${one.name}.${number}.${what}`,
        shape.reduce((a, b) => a * b),
      ).map((v) => v * 2),
      shape,
    );
  return {
    sample: of('sample', batch, one.channels, height, width),
    timestep: Tensor.from(Float32Array.of(999, 261, 3).subarray(0, batch), [batch]),
    ...(one.context ? { context: of('context', batch, ...one.context) } : {}),
    ...(one.labels ? { classLabels: labelsOf(one, one.labels, batch, of) } : {}),
  };
}

function labelsOf(
  one: Case,
  labels: NonNullable<Case['labels']>,
  batch: number,
  of: (what: string, ...shape: number[]) => Tensor,
): UNetInputs['classLabels'] {
  if (labels === 'numbers') return of('labels', batch, one.width!);
  const whole = labels.every(Number.isInteger);
  const own = labels.slice(0, batch);
  return Tensor.from(whole ? Int32Array.from(own) : Float32Array.from(own), [batch]) as Tensor;
}

/** Returns outputs by `CASE/NUMBER/sample` or `CASE/NUMBER/TAP`. */
export async function expectedOutputs(): Promise<ReadonlyMap<string, Float32Array>> {
  const path = join(FIXTURES, 'outputs.safetensors');
  const { tensors } = await readSafetensors(path);
  const bytes = readFileSync(path);
  return new Map(
    [...tensors.values()].map(({ name, offset, length }) => [
      name,
      new Float32Array(new Uint8Array(bytes.subarray(offset, offset + length)).buffer),
    ]),
  );
}
