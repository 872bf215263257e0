/** Matches the tensors of a LoRA file with the layers of a model, as weight patches. */
import { sameShape } from '../checkpoint/weights/storage.js';
import { formatShape, type TensorInfo } from '../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../errors.js';
import type { WeightPatch } from '../modules/weight-patch.js';
import { elementCount } from '../tensor/shape.js';
import { changeOf, fullChange, type StoredChange } from './lora-change.js';
import type { LoraFile, LoraPart } from './lora-file.js';
import type { AdaptedComponent, ModelLayer, ModelLayers } from './model-layers.js';

/** A LoRA matched with one model, at weight 1. */
export interface MatchedLora {
  readonly patches: Readonly<Record<AdaptedComponent, readonly WeightPatch[]>>;
  /** Names of the file's tensors that match nothing in the model. */
  readonly ignored: readonly string[];
}

/** The model as messages describe it. */
export interface AdaptedModel {
  readonly name: string;
  readonly family: string;
  /** Width of the text states that its U-Net attends to. */
  readonly textWidth: number;
  /** Returns the family of models that a file was trained for; null if it is not known. */
  familyOf?(file: LoraFile): string | null;
}

/** @throws ADAPTER_MISMATCH if nothing matches or a shape differs, INVALID_FILE, UNSUPPORTED_ADAPTER */
export function matchLora(file: LoraFile, layers: ModelLayers, model: AdaptedModel): MatchedLora {
  const patches: Record<AdaptedComponent, WeightPatch[]> = { unet: [], text_encoder: [], text_encoder_2: [] };
  const ignored = [...file.others];
  for (const part of file.parts) {
    const matches = (layers.get(part.layer) ?? []).flatMap((layer) =>
      new LayerPatches(part, layer, file, model).all().map((patch) => ({ layer, patch })),
    );
    if (matches.length === 0) ignored.push(...part.keys);
    for (const { layer, patch } of matches) patches[layer.component].push(patch);
  }
  if (Object.values(patches).every((list) => list.length === 0)) {
    const count = file.parts.length + file.others.length;
    const reason =
      file.parts.length === 0
        ? `none of its ${count} tensors belongs to a LoRA`
        : `none of the ${file.parts.length} layers that it changes is in ${model.name} (${model.family}), such as ${JSON.stringify(file.parts[0]!.layer)}`;
    throw mismatch(file, model, reason);
  }
  return { patches, ignored };
}

/** The patches of one layer. */
class LayerPatches {
  /** Rows of the file's layer: those of the model's, or three times as many. */
  private readonly rows: number;

  constructor(
    private readonly part: LoraPart,
    private readonly layer: ModelLayer,
    private readonly file: LoraFile,
    private readonly model: AdaptedModel,
  ) {
    const [rows = 0] = layer.shape;
    this.rows = layer.third === undefined ? rows : 3 * rows;
  }

  all(): WeightPatch[] {
    const { tensors } = this.part;
    const { name, shape, hasBias } = this.layer;
    const bias = tensors.diff_b ?? tensors.b_norm;
    return [
      ...(shape.length > 1
        ? this.ofMatrix()
        : this.ofVector(`${name}.weight`, tensors.w_norm ?? tensors.diff)),
      ...(hasBias ? this.ofVector(`${name}.bias`, bias) : []),
    ];
  }

  private ofMatrix(): WeightPatch[] {
    const { part, layer, file } = this;
    const shape = [this.rows, ...layer.shape.slice(1)];
    const change = changeOf(part, layer.component, shape, file);
    const { diff } = part.tensors;
    return [...(diff ? [fullChange(diff)] : []), ...(change ? [change] : [])].map((stored) => {
      const columns = columnsOf(layer, stored);
      this.checkSize(stored, columns);
      for (const [tensor, expected] of stored.expected) this.checkShape(tensor, expected);
      const { change, scale } = stored;
      const [, all] = layer.shape;
      return {
        ...{ target: `${layer.name}.weight`, scale },
        ...(columns === all ? {} : { columns: [0, columns] as const }),
        ...factorRowsOf(layer),
        change,
      };
    });
  }

  /** A difference of a bias or of a norm's weight. */
  private ofVector(target: string, difference: TensorInfo | undefined): WeightPatch[] {
    if (!difference) return [];
    this.checkShape(difference, [this.rows]);
    return [{ target, scale: 1, ...factorRowsOf(this.layer), change: { add: { full: difference } } }];
  }

  private checkSize({ size, named }: StoredChange, columns: number): void {
    const { shape } = this.layer;
    const expected = [this.rows, columns, elementCount(shape.slice(2))];
    if (size.every((side, i) => side === null || (side > 0 && side === expected[i]))) return;
    const changed = formatShape([this.rows, columns, ...shape.slice(2)]);
    throw this.wrongShape(named, `a tensor that changes a weight of shape ${changed}`);
  }

  private checkShape(tensor: TensorInfo, expected: readonly number[]): void {
    if (expected.every((side) => side > 0) && sameShape(withoutOnes(tensor.shape), withoutOnes(expected)))
      return;
    throw this.wrongShape(tensor, formatShape(expected));
  }

  private wrongShape({ name, shape }: TensorInfo, required: string): SafelightError {
    const { file, model } = this;
    const reason = `${JSON.stringify(name)} has shape ${formatShape(shape)} but ${model.name} (${model.family}) requires ${required}`;
    return mismatch(file, model, reason);
  }
}

/**
 * Returns the number of inputs that the change reads: those of the weight, or only the latent's for the first convolution of an
 * inpainting model.
 */
function columnsOf({ name, shape }: ModelLayer, { size: [, columns] }: StoredChange): number {
  const [, all = 0] = shape;
  return name === 'conv_in' && columns !== null && columns > 0 && columns < all ? columns : all;
}

/** Returns the rows of a fused q, k, v weight that belong to the layer. */
function factorRowsOf({ shape: [rows = 0], third }: ModelLayer): Pick<WeightPatch, 'factorRows'> {
  return third === undefined ? {} : { factorRows: [third * rows, (third + 1) * rows] };
}

function withoutOnes(shape: readonly number[]): number[] {
  return shape.filter((side) => side !== 1);
}

function mismatch(file: LoraFile, model: AdaptedModel, reason: string): SafelightError {
  const families = familiesOf(file, model);
  return new SafelightError(
    'ADAPTER_MISMATCH',
    `${file.path} does not fit the model: ${reason}${families}; use a LoRA that was trained for this kind of model`,
  );
}

/** Returns a clause that names both families, if the file's is known and another one. */
function familiesOf(file: LoraFile, model: AdaptedModel): string {
  const width = textWidthOf(file);
  const trained = width === undefined ? undefined : familyName(width);
  if (trained !== undefined && width !== model.textWidth)
    return `; it was trained for ${trained}, but this model is ${familyName(model.textWidth)} (${model.family})`;
  const family = model.familyOf?.(file) ?? null;
  return family === null || family === model.family
    ? ''
    : `; it was trained for ${family}, but this model is ${model.family}`;
}

/** Returns the text width of the LoRA's cross-attention, which identifies the model family. */
function textWidthOf({ parts }: LoraFile): number | undefined {
  const tensors = parts.find(({ layer }) => /attn2[._]to_[kv]$/.test(layer))?.tensors;
  return (tensors?.lora_down ?? tensors?.hada_w1_b)?.shape[1];
}

const FAMILIES: ReadonlyMap<number, string> = new Map([
  [768, 'Stable Diffusion 1'],
  [1024, 'Stable Diffusion 2'],
  [1280, "SDXL's refiner"],
  [2048, 'SDXL'],
]);

function familyName(width: number): string {
  return FAMILIES.get(width) ?? `a model with text states of width ${width}`;
}
