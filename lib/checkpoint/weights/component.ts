import type {
  StorageType,
  WeightPlan,
  WeightPlanEntry,
  WeightRequirement,
  WeightScale,
} from '../../binding/types.js';
import { defined } from '../../defined.js';
import { SafelightError } from '../../errors.js';
import { elementCount } from '../../tensor/shape.js';
import { isSourceType } from '../formats/dtypes.js';
import { blockOf } from '../formats/gguf-types.js';
import { verifyTensors } from '../formats/verify.js';
import type { CanonicalPart, Naming } from '../naming/naming.js';
import { isBlockType, sameShape, storageFor } from './storage.js';
import { formatShape, type TensorIndex, type TensorInfo, type TensorScale } from './tensor-index.js';

/** A canonical parameter and its tensor in the file. */
export interface Parameter {
  readonly tensor: TensorInfo;
  readonly transform?: CanonicalPart['transform'];
  /** Shape after the transform. */
  readonly shape: readonly number[];
}

/**
 * The parameters of one module (a text encoder, the U-Net, the autoencoder) by canonical names, for any naming of the
 * file.
 */
export class ComponentWeights {
  /** Parameters by canonical name. */
  readonly parameters: ReadonlyMap<string, Parameter>;
  /** Names in the files of the tensors that contain parameters. */
  readonly used: ReadonlySet<string>;

  /**
   * @param label the module's name in messages, such as `U-Net`
   * @param where the file's name in messages
   */
  constructor(
    readonly label: string,
    readonly where: string,
    readonly tensors: TensorIndex,
    private readonly naming: Naming,
  ) {
    const parameters = new Map<string, Parameter>();
    const used = new Set<string>();
    for (const tensor of tensors.values()) {
      for (const part of naming.canonical(tensor.name, tensor.shape)) {
        if (parameters.has(part.name)) continue;
        const { transform } = part;
        parameters.set(
          part.name,
          defined({ tensor, shape: transformed(tensor.shape, transform), transform }),
        );
        for (const { name } of [tensor, ...(tensor.scale?.tensors ?? [])]) used.add(name);
      }
    }
    this.parameters = parameters;
    this.used = used;
  }

  /** The naming of the files' tensors, such as `ldm`. */
  get dialect(): string {
    return this.naming.dialect;
  }

  /** Returns the shape of a parameter with `rank` dimensions. @throws MISSING_TENSOR, SHAPE_MISMATCH */
  shape(name: string, rank: number): readonly number[] {
    const stored = this.parameter(name).shape;
    const shape = ofRank(stored, rank);
    if (shape === null) {
      throw new SafelightError(
        'SHAPE_MISMATCH',
        `${this.describe(name)} has shape ${formatShape(stored)}, expected ${rank} dimensions; the file contains another kind of model`,
      );
    }
    return shape;
  }

  /** @throws MISSING_TENSOR */
  parameter(name: string): Parameter {
    const parameter = this.parameters.get(name);
    if (parameter === undefined) {
      throw new SafelightError(
        'MISSING_TENSOR',
        `${this.where} has no tensor "${this.naming.source(name)}"${this.alias(name)}, which its ${this.label} requires; ` +
          'the file is incomplete: download it again or use another',
      );
    }
    return parameter;
  }

  /**
   * Plans the loading of every required parameter: its location, transform and storage.
   * @param requirements the parameters that the native module of this config requires
   * @param storage the storage of all weights that support it; default each tensor's own type
   * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL for a tensor type that cannot be read
   */
  plan(requirements: readonly WeightRequirement[], storage?: StorageType): WeightPlan {
    const files = new Map<string, number>();
    const entries = requirements.map((requirement): WeightPlanEntry => {
      const { tensor, transform, shape } = this.parameter(requirement.name);
      if (!sameShape(shape, requirement.shape)) throw this.mismatch(requirement, tensor, shape);
      const { dtype, scale } = tensor;
      if (!isSourceType(dtype, scale !== undefined)) throw this.unreadable(requirement.name, dtype);
      const beyond = this.goesBeyondRows(requirement.name, tensor, transform);
      const file = files.get(tensor.file) ?? files.size;
      files.set(tensor.file, file);
      return defined({
        name: requirement.name,
        shape: requirement.shape,
        source: defined({
          file,
          offset: tensor.offset,
          length: tensor.length,
          type: dtype,
          // One block per row, as `withRowBlocks` expects.
          shape: beyond
            ? [elementCount(tensor.shape) / blockOf(tensor.dtype), blockOf(tensor.dtype)]
            : tensor.shape,
          strides: tensor.strides,
          scale: scale && withoutTensors(scale),
        }),
        transform,
        storage: storageFor(requirement, beyond ? 'F16' : dtype, storage, transform),
      });
    });
    return { files: [...files.keys()], entries };
  }

  /**
   * Verifies the plan's tensors against checksums in their files, each checksum at most once.
   * @throws INVALID_FILE, ABORTED
   */
  async verify(entries: readonly WeightPlanEntry[], signal?: AbortSignal): Promise<void> {
    await verifyTensors(
      entries.flatMap(({ name }) => {
        const { tensor } = this.parameter(name);
        return [tensor, ...(tensor.scale?.tensors ?? [])];
      }),
      signal,
    );
  }

  private mismatch(
    requirement: WeightRequirement,
    tensor: TensorInfo,
    shape: readonly number[],
  ): SafelightError {
    const part = shape === tensor.shape ? '' : ` (${formatShape(shape)} of this parameter)`;
    return new SafelightError(
      'SHAPE_MISMATCH',
      `${this.describe(requirement.name)} has shape ${formatShape(tensor.shape)}${part}, but the ${this.label}'s config requires ` +
        `${formatShape(requirement.shape)}; the config does not belong to these weights`,
    );
  }

  private unreadable(name: string, dtype: string): SafelightError {
    return new SafelightError(
      'UNSUPPORTED_MODEL',
      `${this.describe(name)} is stored as ${dtype}, which cannot be loaded; use a model in F32, F16, BF16, F8, I8 with scales, or a quantized GGUF type`,
    );
  }

  /** Returns true if a tensor's quantization blocks span rows, as in ComfyUI-GGUF's convolutions. */
  private goesBeyondRows(name: string, { dtype, shape }: TensorInfo, transform: unknown): boolean {
    if (!isBlockType(dtype) || (shape.at(-1) ?? 1) % blockOf(dtype) === 0) return false;
    if (transform === undefined) return true;
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${this.describe(name)} of shape ${formatShape(shape)} is ${dtype} in blocks of ${blockOf(dtype)} that span its rows, which cannot be ` +
        'split; use a model in F16',
    );
  }

  private describe(name: string): string {
    return `"${this.parameters.get(name)?.tensor.name ?? this.naming.source(name)}"${this.alias(name)} in ${this.where}`;
  }

  private alias(name: string): string {
    return this.naming.source(name) === name ? '' : ` (${name})`;
  }
}

function withoutTensors({ tensors: _, ...scale }: TensorScale): WeightScale {
  return scale;
}

function transformed(shape: readonly number[], transform: CanonicalPart['transform']): readonly number[] {
  if (transform === undefined) return shape;
  if (transform.op === 'rows')
    return [(transform.end - transform.start) * (transform.groups ?? 1), ...shape.slice(1)];
  return shape.length === 2 ? [shape[1] ?? 0, shape[0] ?? 0] : shape;
}

/**
 * Returns the shape with `rank` dimensions, or null. GGUF writers drop dimensions of 1: trailing ones of 1x1
 * convolutions, else leading ones.
 */
function ofRank(shape: readonly number[], rank: number): readonly number[] | null {
  const ones = Array.from({ length: Math.max(0, rank - shape.length) }, () => 1);
  if (shape.length <= rank) return shape.length === 2 ? [...shape, ...ones] : [...ones, ...shape];
  const [start, end] = [shape.slice(0, rank), shape.slice(rank)];
  return end.every((side) => side === 1) ? start : null;
}
