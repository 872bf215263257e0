/** From a LoRA's file to changes of a model's weights. */
import { sameShape } from '../checkpoint/weights/storage.js';
import { formatShape, type TensorInfo } from '../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../errors.js';
import type { WeightPatch } from '../modules/weight-patch.js';
import type { LoraFile, LoraPart } from './lora-file.js';
import { scaleOf } from './lora-metadata.js';
import type { AdaptedComponent, LoraPlace, LoraPlaces } from './lora-places.js';

/** A LoRA as one model takes it, at weight 1. */
export interface MatchedLora {
  readonly patches: Readonly<Record<AdaptedComponent, readonly WeightPatch[]>>;
  /** Names of the file's tensors that have no place in the model. */
  readonly ignored: readonly string[];
}

/** The model as messages describe it. */
export interface AdaptedModel {
  readonly name: string;
  readonly family: string;
  /** Numbers that its U-Net reads of each token of a text. */
  readonly textWidth: number;
}

/** @throws ADAPTER_MISMATCH where nothing has a place, or something has another shape, INVALID_FILE */
export function matchLora(file: LoraFile, places: LoraPlaces, model: AdaptedModel): MatchedLora {
  const patches: Record<AdaptedComponent, WeightPatch[]> = { unet: [], text_encoder: [], text_encoder_2: [] };
  const ignored = [...file.others];
  for (const part of file.parts) {
    const found = places.get(part.place);
    if (!found || (!part.up && !part.down && !part.full)) {
      ignored.push(...part.keys);
      continue;
    }
    for (const place of found) patches[place.component].push(...patchesOf(part, place, file, model));
  }
  if (Object.values(patches).every((list) => list.length === 0)) {
    const count = file.parts.length + file.others.length;
    const reason =
      file.parts.length === 0
        ? `its ${count} tensors are no factors of a LoRA`
        : `none of the ${file.parts.length} weights that it changes is in ${model.name} (${model.family}), such as ${JSON.stringify(file.parts[0]!.place)}`;
    throw mismatch(file, model, reason);
  }
  return { patches, ignored };
}

function patchesOf(part: LoraPart, place: LoraPlace, file: LoraFile, model: AdaptedModel): WeightPatch[] {
  const { target, component } = place;
  const made: WeightPatch[] = [];
  if (part.full) {
    const columns = columnsOf(place, part.full);
    checkShape(part.full, wanted(place, columns), file, model);
    made.push({ ...{ target, scale: 1 }, ...within(place, columns), change: { add: { full: part.full } } });
  }
  const { up, down } = part;
  if (!up && !down) return made;
  if (!up || !down) {
    const [has] = part.keys;
    throw new SafelightError(
      'INVALID_FILE',
      `${file.path} has ${JSON.stringify(has)} without its other factor; it is incomplete: download it again`,
    );
  }
  const rank = down.shape[0] ?? 0;
  const columns = columnsOf(place, down);
  const [rows, ...rest] = wanted(place, columns);
  checkShape(down, [rank, ...rest], file, model);
  checkShape(up, [rows, rank], file, model);
  const { scalings } = file.metadata;
  const scale = scaleOf(rank, part.alpha, scalings.get(component) ?? scalings.get(''), part.place);
  if (!Number.isFinite(scale)) {
    throw new SafelightError(
      'INVALID_FILE',
      `${file.path} has the alpha ${part.alpha} for ${JSON.stringify(part.place)}; it is damaged: download it again`,
    );
  }
  made.push({ ...{ target, scale }, ...within(place, columns), change: { add: { up, down } } });
  return made;
}

/** The shape of the difference as the file has it: that of a weight, or of three stacked. */
function wanted({ shape, third }: LoraPlace, columns: number): [number, ...number[]] {
  const [rows = 0, , ...rest] = shape;
  return [third === undefined ? rows : 3 * rows, columns, ...rest];
}

/** Inputs that the factor reads: those of the weight, or of an inpainting model's first convolution the first (the latent). */
function columnsOf({ target, shape }: LoraPlace, factor: TensorInfo): number {
  const [, all = 0] = shape;
  const [, own = 0] = factor.shape;
  return target === 'conv_in.weight' && own > 0 && own < all ? own : all;
}

function within({ shape, third }: LoraPlace, columns: number): Pick<WeightPatch, 'columns' | 'factorRows'> {
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
    `${JSON.stringify(factor.name)} has shape ${formatShape(factor.shape)} where ${model.name} (${model.family}) needs ${formatShape(expected)}`,
  );
}

function mismatch(file: LoraFile, model: AdaptedModel, reason: string): SafelightError {
  const width = textWidthOf(file);
  const made =
    width === undefined || width === model.textWidth
      ? ''
      : `; it was made for ${called(width)}, and this model is of ${called(model.textWidth)}`;
  return new SafelightError(
    'ADAPTER_MISMATCH',
    `${file.path} does not fit the model: ${reason}${made}; take a LoRA that was made for this kind of model`,
  );
}

/** Numbers a token of the text that the LoRA's cross-attention reads: the sign of a family. */
function textWidthOf({ parts }: LoraFile): number | undefined {
  return parts.find(({ place }) => /attn2[._]to_[kv]$/.test(place))?.down?.shape[1];
}

const FAMILIES: ReadonlyMap<number, string> = new Map([
  [768, 'Stable Diffusion 1'],
  [1024, 'Stable Diffusion 2'],
  [1280, "SDXL's refiner"],
  [2048, 'SDXL'],
]);

function called(width: number): string {
  return FAMILIES.get(width) ?? `a model with texts of ${width} numbers a token`;
}
