/** Matches the tensors of a LoRA file with the layers of a model, as weight patches. */
import { sameShape } from '../checkpoint/weights/storage.js';
import { formatShape, type TensorInfo } from '../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../errors.js';
import type { WeightPatch } from '../modules/weight-patch.js';
import { changeOf, type StoredChange } from './lora-change.js';
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
  /** Width of the text encoding that its U-Net reads. */
  readonly textWidth: number;
}

/** @throws ADAPTER_MISMATCH if nothing matches or a shape differs, INVALID_FILE, UNSUPPORTED_ADAPTER */
export function matchLora(file: LoraFile, places: ModelLayers, model: AdaptedModel): MatchedLora {
  const patches: Record<AdaptedComponent, WeightPatch[]> = { unet: [], text_encoder: [], text_encoder_2: [] };
  const ignored = [...file.others];
  for (const part of file.parts) {
    const made = (places.get(part.place) ?? []).flatMap((place) =>
      patchesOf(part, place, file, model).map((patch) => ({ place, patch })),
    );
    if (made.length === 0) ignored.push(...part.keys);
    for (const { place, patch } of made) patches[place.component].push(patch);
  }
  if (Object.values(patches).every((list) => list.length === 0)) {
    const count = file.parts.length + file.others.length;
    const reason =
      file.parts.length === 0
        ? `its ${count} tensors are no factors of a LoRA`
        : `none of the ${file.parts.length} layers that it changes is in ${model.name} (${model.family}), such as ${JSON.stringify(file.parts[0]!.place)}`;
    throw mismatch(file, model, reason);
  }
  return { patches, ignored };
}

function patchesOf(part: LoraPart, place: ModelLayer, file: LoraFile, model: AdaptedModel): WeightPatch[] {
  const { name, component, shape, hasBias } = place;
  const { tensors } = part;
  const rows = place.third === undefined ? (shape[0] ?? 0) : 3 * (shape[0] ?? 0);
  const made: WeightPatch[] = [];
  if (shape.length > 1) {
    const own = [rows, ...shape.slice(1)];
    const stored = changeOf(part, component, own, file);
    if (stored) {
      const columns = columnsOf(place, stored);
      checkSize(stored, [rows, columns, area(shape.slice(2))], place, file, model);
      const { change, scale } = stored;
      made.push({ ...{ target: `${name}.weight`, scale }, ...within(place, columns), change });
    }
  } else {
    const difference = tensors.w_norm ?? tensors.diff;
    if (difference) made.push(vectorPatch(`${name}.weight`, difference, place, file, model));
  }
  const bias = tensors.diff_b ?? tensors.b_norm;
  if (bias && hasBias) made.push(vectorPatch(`${name}.bias`, bias, place, file, model));
  return made;
}

/** A difference of a bias or of a norm's weight. */
function vectorPatch(
  target: string,
  difference: TensorInfo,
  place: ModelLayer,
  file: LoraFile,
  model: AdaptedModel,
): WeightPatch {
  const { shape, third } = place;
  const [rows = 0] = shape;
  const expected = [third === undefined ? rows : 3 * rows];
  if (!sameShape(difference.shape, expected)) {
    throw mismatch(file, model, wrongShape(difference, formatShape(expected), model));
  }
  return {
    ...{ target, scale: 1 },
    ...(third === undefined ? {} : { factorRows: [third * rows, (third + 1) * rows] as const }),
    change: { add: { full: difference } },
  };
}

/** Inputs that the change reads: those of the weight, or the latent's only of an inpainting model's first convolution. */
function columnsOf({ name, shape }: ModelLayer, { size: [, own] }: StoredChange): number {
  const [, all = 0] = shape;
  return name === 'conv_in' && own !== null && own > 0 && own < all ? own : all;
}

function within({ shape, third }: ModelLayer, columns: number): Pick<WeightPatch, 'columns' | 'factorRows'> {
  const [rows = 0, all = 0] = shape;
  return {
    ...(columns === all ? {} : { columns: [0, columns] as const }),
    ...(third === undefined ? {} : { factorRows: [third * rows, (third + 1) * rows] as const }),
  };
}

function checkSize(
  { size, named }: StoredChange,
  expected: readonly number[],
  { shape }: ModelLayer,
  file: LoraFile,
  model: AdaptedModel,
): void {
  if (size.every((side, i) => side === null || (side > 0 && side === expected[i]))) return;
  const [rows, columns] = expected;
  const needs = `a change of ${formatShape([rows!, columns!, ...shape.slice(2)])}`;
  throw mismatch(file, model, wrongShape(named, needs, model));
}

function wrongShape({ name, shape }: TensorInfo, needs: string, model: AdaptedModel): string {
  return `${JSON.stringify(name)} has shape ${formatShape(shape)} where ${model.name} (${model.family}) needs ${needs}`;
}

function area(sides: readonly number[]): number {
  return sides.reduce((product, side) => product * side, 1);
}

function mismatch(file: LoraFile, model: AdaptedModel, reason: string): SafelightError {
  const width = textWidthOf(file);
  const made =
    width === undefined || width === model.textWidth
      ? ''
      : `; it was made for ${familyOf(width)}, and this model is ${familyOf(model.textWidth)}`;
  return new SafelightError(
    'ADAPTER_MISMATCH',
    `${file.path} does not fit the model: ${reason}${made}; use a LoRA made for this kind of model`,
  );
}

/** Width of the text encoding that the LoRA's cross-attention reads, which differs between families. */
function textWidthOf({ parts }: LoraFile): number | undefined {
  const part = parts.find(({ place }) => /attn2[._]to_[kv]$/.test(place));
  const { lora_down: down, hada_w1_b: hada } = part?.tensors ?? {};
  return (down ?? hada)?.shape[1];
}

const FAMILIES: ReadonlyMap<number, string> = new Map([
  [768, 'Stable Diffusion 1'],
  [1024, 'Stable Diffusion 2'],
  [1280, "SDXL's refiner"],
  [2048, 'SDXL'],
]);

function familyOf(width: number): string {
  return FAMILIES.get(width) ?? `a model with text encodings of width ${width}`;
}
