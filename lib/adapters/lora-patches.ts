/** Converts a LoRA file to patches of a model's weights. */
import { sameShape } from '../checkpoint/weights/storage.js';
import { formatShape, type TensorInfo } from '../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../errors.js';
import type { WeightPatch } from '../modules/weight-patch.js';
import type { LoraFile, LoraPart } from './lora-file.js';
import { scaleOf } from './lora-metadata.js';
import type { AdaptedComponent, ModelLayer, ModelLayers } from './model-layers.js';

/** A LoRA matched with a model, at weight 1. */
export interface MatchedLora {
  readonly patches: Readonly<Record<AdaptedComponent, readonly WeightPatch[]>>;
  /** Names of the file's tensors that match no weight of the model. */
  readonly ignored: readonly string[];
}

/** The properties of a model that matching and its messages use. */
export interface AdaptedModel {
  readonly name: string;
  readonly family: string;
  /** Width of the text states that its U-Net accepts. */
  readonly textWidth: number;
}

/** @throws ADAPTER_MISMATCH if no tensor matches or a shape differs, INVALID_FILE */
export function matchLora(file: LoraFile, layers: ModelLayers, model: AdaptedModel): MatchedLora {
  const patches: Record<AdaptedComponent, WeightPatch[]> = { unet: [], text_encoder: [], text_encoder_2: [] };
  const ignored = [...file.unrelated];
  for (const part of file.parts) {
    const matches = layers.get(part.layer);
    if (!matches || (!part.up && !part.down && !part.full)) {
      ignored.push(...part.keys);
      continue;
    }
    for (const layer of matches) patches[layer.component].push(...patchesOf(part, layer, file, model));
  }
  if (Object.values(patches).every((list) => list.length === 0)) {
    const count = file.parts.length + file.unrelated.length;
    const reason =
      file.parts.length === 0
        ? `its ${count} tensors are not factors of a LoRA`
        : `none of the ${file.parts.length} weights that it changes is in ${model.name} (${model.family}), such as ${JSON.stringify(file.parts[0]!.layer)}`;
    throw mismatch(file, model, reason);
  }
  return { patches, ignored };
}

function patchesOf(part: LoraPart, layer: ModelLayer, file: LoraFile, model: AdaptedModel): WeightPatch[] {
  const { target, component } = layer;
  const patches: WeightPatch[] = [];
  if (part.full) {
    const columns = columnsOf(layer, part.full);
    checkShape(part.full, differenceShape(layer, columns), file, model);
    patches.push({
      ...{ target, scale: 1 },
      ...within(layer, columns),
      change: { add: { full: part.full } },
    });
  }
  const { up, down } = part;
  if (!up && !down) return patches;
  if (!up || !down) {
    const [has] = part.keys;
    throw new SafelightError(
      'INVALID_FILE',
      `${file.path} has ${JSON.stringify(has)} without its other factor; it is incomplete: download it again`,
    );
  }
  const rank = down.shape[0] ?? 0;
  const columns = columnsOf(layer, down);
  const [rows, ...inner] = differenceShape(layer, columns);
  checkShape(down, [rank, ...inner], file, model);
  checkShape(up, [rows, rank], file, model);
  const { scalings } = file.metadata;
  const scale = scaleOf(rank, part.alpha, scalings.get(component) ?? scalings.get(''), part.layer);
  if (!Number.isFinite(scale)) {
    throw new SafelightError(
      'INVALID_FILE',
      `${file.path} has the alpha ${part.alpha} for ${JSON.stringify(part.layer)}; it is damaged: download it again`,
    );
  }
  patches.push({ ...{ target, scale }, ...within(layer, columns), change: { add: { up, down } } });
  return patches;
}

/** Returns the expected shape of the difference in the file: that of a weight, or of three stacked weights. */
function differenceShape({ shape, third }: ModelLayer, columns: number): [number, ...number[]] {
  const [rows = 0, , ...inner] = shape;
  return [third === undefined ? rows : 3 * rows, columns, ...inner];
}

/**
 * Returns the number of input columns: those of the weight, or only the latent's for an inpainting model's first
 * convolution.
 */
function columnsOf({ target, shape }: ModelLayer, factor: TensorInfo): number {
  const [, all = 0] = shape;
  const [, columns = 0] = factor.shape;
  return target === 'conv_in.weight' && columns > 0 && columns < all ? columns : all;
}

function within({ shape, third }: ModelLayer, columns: number): Pick<WeightPatch, 'columns' | 'factorRows'> {
  const [rows = 0, all = 0] = shape;
  return {
    ...(columns === all ? {} : { columns: [0, columns] as const }),
    ...(third === undefined ? {} : { factorRows: [third * rows, (third + 1) * rows] as const }),
  };
}

function checkShape(
  factor: TensorInfo,
  expected: readonly number[],
  file: LoraFile,
  model: AdaptedModel,
): void {
  if (expected.every((side) => side > 0) && sameShape(factor.shape, expected)) return;
  throw mismatch(
    file,
    model,
    `${JSON.stringify(factor.name)} has shape ${formatShape(factor.shape)} but ${model.name} (${model.family}) requires ${formatShape(expected)}`,
  );
}

function mismatch(file: LoraFile, model: AdaptedModel, reason: string): SafelightError {
  const width = textWidthOf(file);
  const families =
    width === undefined || width === model.textWidth
      ? ''
      : `; it was trained for ${familyName(width)}, but this model is ${familyName(model.textWidth)}`;
  return new SafelightError(
    'ADAPTER_MISMATCH',
    `${file.path} does not fit the model: ${reason}${families}; use a LoRA that was trained for this kind of model`,
  );
}

/** Returns the text width of the LoRA's cross-attention, which identifies the model family. */
function textWidthOf({ parts }: LoraFile): number | undefined {
  return parts.find(({ layer }) => /attn2[._]to_[kv]$/.test(layer))?.down?.shape[1];
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
