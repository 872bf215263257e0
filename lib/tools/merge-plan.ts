/** Planning of a merge: which tensors of B and C change which written entries of A, and by how much. */
import { requirements } from '../binding/module.js';
import type { Blend, BlendPlan, WeightPlanEntry, WeightRequirement } from '../binding/types.js';
import { sameShape } from '../checkpoint/weights/storage.js';
import { formatShape } from '../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../errors.js';
import { type ConvertPart, entryName, type PlannedPart, transposed } from './convert-plan.js';
import type { ConvertSource } from './convert-source.js';

/** Methods with the names that A1111 displays. */
export const mergeMethods = { 'weighted-sum': 'Weighted sum', 'add-difference': 'Add difference' } as const;
export type MergeMethod = keyof typeof mergeMethods;

/** Factors of A, B and C. */
export type Factors = readonly [a: number, ...others: number[]];

/** A·(1 − α) + B·α, or A + (B − C)·α. */
export function factorsOf(method: MergeMethod, alpha: number): Factors {
  return method === 'weighted-sum' ? [1 - alpha, alpha] : [1, alpha, -alpha];
}

/** A model of a merge. */
export interface MergeSource {
  /** `A`, `B` or `C`. */
  readonly label: string;
  /** Path or name as given. */
  readonly given: string;
  readonly source: ConvertSource;
}

export interface PlannedMerge {
  readonly blends: BlendPlan;
  /** Number of parameters that are merged. */
  readonly merged: number;
  /** Names of A's parameters that B or C lacks; they are written unchanged. */
  readonly kept: readonly string[];
}

/** Input channels of a U-Net, and of one for inpainting: latent, mask, and latent of the masked image. */
const CHANNELS = 4;
const INPAINTING_CHANNELS = 9;

/** True for a model whose U-Net has the additional input channels of inpainting. */
export function isInpainting({ config }: ConvertSource): boolean {
  return config.unet?.in_channels === INPAINTING_CHANNELS;
}

/**
 * Plans a merge by canonical parameter names, whatever the dialects and types of the files.
 * @param planned parts of A
 * @param skip kinds of parts that keep A's weights
 * @throws UNSUPPORTED_MODEL for another family, SHAPE_MISMATCH naming the first parameter that differs
 */
export function planBlends(
  [a, ...others]: readonly [MergeSource, ...MergeSource[]],
  planned: readonly PlannedPart[],
  [own, ...factors]: Factors,
  skip: readonly ConvertPart['kind'][] = [],
): PlannedMerge {
  for (const other of others) checkFamily(a, other);
  const tensors = new OtherTensors();
  const blends: Blend[] = [];
  const kept: string[] = [];
  for (const [index, part] of a.source.parts.entries()) {
    if (skip.includes(part.kind)) continue;
    const needed = new Map(requirements(part.kind, part.config).map((one) => [one.name, one]));
    for (const { turned, entries } of planned[index]!.tensors) {
      for (const { name, shape } of entries) {
        const target = entryName(planned[index]!.component, name);
        const parts = others.map(({ source }) => source.parts[index]!);
        if (!parts.every(({ weights }) => weights.parameters.has(name))) {
          kept.push(target);
          continue;
        }
        const requirement = needed.get(name)!;
        const columns = columnsOf(requirement, part, parts, [a, ...others]);
        const terms = parts.map((other, i) => {
          const plan = other.weights.plan([withColumns(requirement, columns)]);
          const entry = turned ? transposed(plan.entries[0]!, shape) : plan.entries[0]!;
          return { entry: tensors.add(entry, plan.files), scale: factors[i]! };
        });
        blends.push({ target, scale: own, terms, ...(columns === undefined ? {} : { columns }) });
      }
    }
  }
  return { blends: { weights: tensors.plan, blends }, merged: blends.length, kept };
}

/** @throws UNSUPPORTED_MODEL */
function checkFamily(a: MergeSource, other: MergeSource): void {
  const same =
    a.source.architecture === other.source.architecture &&
    a.source.parts.length === other.source.parts.length;
  if (same) return;
  throw new SafelightError(
    'UNSUPPORTED_MODEL',
    `A (${a.given}) is ${kindOf(a.source)}, but ${other.label} (${other.given}) is ${kindOf(other.source)}; merge models of one family`,
  );
}

function kindOf({ config, architecture }: ConvertSource): string {
  return config.family === null
    ? `a single component (${architecture})`
    : `a model of family ${config.family}`;
}

/**
 * Returns the number of leading columns to merge, undefined for all: an inpainting model keeps the input channels that
 * other models lack.
 * @throws SHAPE_MISMATCH
 */
function columnsOf(
  { name, shape }: WeightRequirement,
  part: ConvertPart,
  parts: readonly ConvertPart[],
  [a, ...others]: readonly [MergeSource, ...MergeSource[]],
): number | undefined {
  const shapes = parts.map(({ weights }) => weights.parameters.get(name)!.shape);
  if (shapes.every((other) => sameShape(other, shape))) return undefined;
  const isInput = part.kind === 'unet' && name === 'conv_in.weight';
  const latentOnly = [shape[0]!, CHANNELS, ...shape.slice(2)];
  if (isInput && shape[1] === INPAINTING_CHANNELS && shapes.every((other) => sameShape(other, latentOnly)))
    return CHANNELS;
  const i = shapes.findIndex((other) => !sameShape(other, shape));
  const other = others[i]!;
  const hint =
    isInput && shape[1] === CHANNELS && shapes[i]?.[1] === INPAINTING_CHANNELS
      ? 'the inpainting model must be A'
      : 'only models with the same shapes can be merged';
  throw new SafelightError(
    'SHAPE_MISMATCH',
    `${part.weights.label} parameter "${name}" has shape ${formatShape(shape)} in A (${a.given}) but ${formatShape(shapes[i]!)} in ` +
      `${other.label} (${other.given}); ${hint}`,
  );
}

function withColumns(requirement: WeightRequirement, columns: number | undefined): WeightRequirement {
  if (columns === undefined) return requirement;
  const [rows, , ...kernel] = requirement.shape;
  return { ...requirement, shape: [rows!, columns, ...kernel] };
}

/** Collects the tensors of B and C in one plan. */
class OtherTensors {
  private readonly files: string[] = [];
  private readonly entries: WeightPlanEntry[] = [];

  get plan(): BlendPlan['weights'] {
    return { files: this.files, entries: this.entries };
  }

  /**
   * @param files of the plan that the entry belongs to
   * @returns the index of the entry
   */
  add(entry: WeightPlanEntry, files: readonly string[]): number {
    const path = files[entry.source.file]!;
    if (!this.files.includes(path)) this.files.push(path);
    const file = this.files.indexOf(path);
    return this.entries.push({ ...entry, source: { ...entry.source, file } }) - 1;
  }
}
