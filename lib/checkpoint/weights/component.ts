import type { StorageType, WeightPlan, WeightPlanEntry, WeightRequirement } from '../../binding/types.js';
import { defined } from '../../defined.js';
import { SafelightError } from '../../errors.js';
import { isSourceType } from '../formats/dtypes.js';
import { blockOf } from '../formats/gguf-types.js';
import { verifyTensors } from '../formats/verify.js';
import type { CanonicalPart, Naming } from '../naming/naming.js';
import { isBlockType, sameShape, storageFor } from './storage.js';
import { shown, type TensorIndex, type TensorInfo } from './tensor-index.js';

/** A canonical parameter in its file. */
export interface Parameter {
  readonly tensor: TensorInfo;
  readonly transform?: CanonicalPart['transform'];
  /** After the transform. */
  readonly shape: readonly number[];
}

/** The parameters of one module (a text encoder, the U-Net, the autoencoder), whatever its file calls them. */
export class ComponentWeights {
  /** By canonical name. */
  readonly parameters: ReadonlyMap<string, Parameter>;
  /** Names, in the files, of the tensors that hold them. */
  readonly used: ReadonlySet<string>;

  /**
   * @param label what messages call the module, such as `U-Net`
   * @param where what messages call its file
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
        used.add(tensor.name);
      }
    }
    this.parameters = parameters;
    this.used = used;
  }

  /** How the files name parameters. */
  get dialect(): string {
    return this.naming.dialect;
  }

  /** The shape of a parameter of `rank` dimensions. @throws MISSING_TENSOR, SHAPE_MISMATCH */
  shape(name: string, rank: number): readonly number[] {
    const given = this.parameter(name).shape;
    const shape = ofRank(given, rank);
    if (shape === null) {
      throw new SafelightError(
        'SHAPE_MISMATCH',
        `${this.called(name)} has shape ${shown(given)} where ${rank} dimensions are expected; the file holds another kind of model`,
      );
    }
    return shape;
  }

  /** @throws MISSING_TENSOR */
  parameter(name: string): Parameter {
    const found = this.parameters.get(name);
    if (found === undefined) {
      throw new SafelightError(
        'MISSING_TENSOR',
        `${this.where} has no tensor "${this.naming.source(name)}"${this.alias(name)}, which its ${this.label} needs; ` +
          'the file is incomplete: download it again or take another',
      );
    }
    return found;
  }

  /**
   * Where every required parameter lies and how it is to be kept.
   * @param requirements what the module of this config needs, from the native side
   * @param storage for all weights that can be kept so; by default each tensor's own type
   * @throws MISSING_TENSOR, SHAPE_MISMATCH, or UNSUPPORTED_MODEL for a tensor of a type that cannot be read
   */
  plan(requirements: readonly WeightRequirement[], storage?: StorageType): WeightPlan {
    const files = new Map<string, number>();
    const entries = requirements.map((requirement): WeightPlanEntry => {
      const { tensor, transform, shape } = this.parameter(requirement.name);
      if (!sameShape(shape, requirement.shape)) throw this.mismatch(requirement, tensor, shape);
      if (!isSourceType(tensor.dtype)) throw this.unreadable(requirement.name, tensor.dtype);
      if (tensor.dtype.startsWith('F8')) this.refuseScaled(requirement.name, tensor);
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
          type: tensor.dtype,
          // A block a row, for `withRowBlocks`.
          shape: beyond ? [count(tensor.shape) / blockOf(tensor.dtype), blockOf(tensor.dtype)] : tensor.shape,
          strides: tensor.strides,
        }),
        transform,
        storage: storageFor(requirement, beyond ? 'F16' : tensor.dtype, storage, transform),
      });
    });
    return { files: [...files.keys()], entries };
  }

  /**
   * Compares what a plan's entries read with their files' checksums, where they have some that nobody has looked at yet.
   * @throws INVALID_FILE, ABORTED
   */
  async verify(entries: readonly WeightPlanEntry[], signal?: AbortSignal): Promise<void> {
    await verifyTensors(
      entries.map(({ name }) => this.parameter(name).tensor),
      signal,
    );
  }

  private mismatch(
    requirement: WeightRequirement,
    tensor: TensorInfo,
    shape: readonly number[],
  ): SafelightError {
    const held = shape === tensor.shape ? '' : ` (${shown(shape)} of this parameter)`;
    return new SafelightError(
      'SHAPE_MISMATCH',
      `${this.called(requirement.name)} has shape ${shown(tensor.shape)}${held}, but the ${this.label}'s config asks for ` +
        `${shown(requirement.shape)}; weights and config do not belong together`,
    );
  }

  private unreadable(name: string, dtype: string): SafelightError {
    return new SafelightError(
      'UNSUPPORTED_MODEL',
      `${this.called(name)} is stored as ${dtype}, which cannot be loaded; take the model in F32, F16, BF16, F8 or a quantized type of GGUF`,
    );
  }

  /** Whether a tensor's blocks go on from row to row, as ComfyUI-GGUF writes convolutions. */
  private goesBeyondRows(name: string, { dtype, shape }: TensorInfo, transform: unknown): boolean {
    if (!isBlockType(dtype) || (shape.at(-1) ?? 1) % blockOf(dtype) === 0) return false;
    if (transform === undefined) return true;
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${this.called(name)} of shape ${shown(shape)} is ${dtype} in blocks of ${blockOf(dtype)} that go beyond its rows, which cannot be ` +
        'taken apart; take the file in F16',
    );
  }

  /** F8 files of some tools keep a factor beside every weight; without it the weights would be silently wrong. */
  private refuseScaled(name: string, { name: source }: TensorInfo): void {
    const place = source.replace(/\.[^.]*$/, '');
    for (const leaf of ['scale_weight', 'weight_scale']) {
      if (this.tensors.has(`${place}.${leaf}`)) {
        throw new SafelightError(
          'UNSUPPORTED_MODEL',
          `${this.called(name)} is scaled by "${place}.${leaf}", and scaled F8 is not supported; take the model in F16 or plain F8`,
        );
      }
    }
  }

  private called(name: string): string {
    return `"${this.parameters.get(name)?.tensor.name ?? this.naming.source(name)}"${this.alias(name)} in ${this.where}`;
  }

  private alias(name: string): string {
    return this.naming.source(name) === name ? '' : ` (${name})`;
  }
}

function count(shape: readonly number[]): number {
  return shape.reduce((all, side) => all * side, 1);
}

function transformed(shape: readonly number[], transform: CanonicalPart['transform']): readonly number[] {
  if (transform === undefined) return shape;
  if (transform.op === 'rows')
    return [(transform.end - transform.start) * (transform.groups ?? 1), ...shape.slice(1)];
  return shape.length === 2 ? [shape[1] ?? 0, shape[0] ?? 0] : shape;
}

/** The shape with as many dimensions: writers of GGUF drop ones, at the end of a 1x1 convolution's, else in front. */
function ofRank(shape: readonly number[], rank: number): readonly number[] | null {
  const ones = Array.from({ length: Math.max(0, rank - shape.length) }, () => 1);
  if (shape.length <= rank) return shape.length === 2 ? [...shape, ...ones] : [...ones, ...shape];
  const [start, end] = [shape.slice(0, rank), shape.slice(rank)];
  return end.every((side) => side === 1) ? start : null;
}
