/**
 * The LoRAs of test/reference/lora.py, written in each of the naming schemes of training tools, and the
 * results of PEFT.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readSafetensors } from '../../lib/checkpoint/formats/safetensors.js';
import { Tensor } from '../../lib/tensor/tensor.js';
import { f16, manifest, noise, type RawTensor, readJson } from './tiny-models.js';

export const FIXTURES = fileURLToPath(new URL('../fixtures/lora/', import.meta.url));

export type LoraName = 'whole' | 'attention';
export type LoraModel = 'sd1' | 'sdxl';
/**
 * `kohya` with diffusers' names of the U-Net, `sgm` with CompVis' names as sd-scripts writes SDXL, `peft` as
 * diffusers saves, `processor` as older diffusers saved.
 */
export type Naming = 'kohya' | 'sgm' | 'peft' | 'processor';

/** `[component, module, shape of down, shape of up, amplitude of down, amplitude of up]` */
type LoraRow = [string, string, number[], number[], number, number];

export interface LoraImage {
  readonly model: LoraModel;
  readonly loras: Readonly<Partial<Record<LoraName, [number, number]>>>;
  readonly options: Readonly<Record<string, string | number>>;
  readonly image: string;
}

interface Cases {
  readonly loras: Readonly<Record<LoraName, { rank: number; alpha: number | null }>>;
  readonly cases: readonly (readonly [string, Readonly<Partial<Record<LoraName, [number, number]>>>])[];
  readonly pictures: readonly LoraImage[];
}

export const { loras, cases, pictures: imageCases } = readJson<Cases>(join(FIXTURES, 'cases.json'));
const rows = readJson<Record<string, LoraRow[]>>(join(FIXTURES, 'manifest.json'));

const folders: string[] = [];

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-lora-'));
  folders.push(folder);
  return folder;
}

export function removeFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
}

export interface WriteOptions {
  readonly dtype?: 'F32' | 'F16';
  /** Keeps only matching rows of the LoRA. */
  readonly only?: (component: string, module: string) => boolean;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Additional tensors. */
  readonly extra?: Readonly<Record<string, RawTensor>>;
  readonly name?: string;
}

/** Writes a LoRA for a model. @returns its path */
export function writeLora(
  model: LoraModel,
  lora: LoraName,
  naming: Naming = 'kohya',
  { dtype = 'F32', only = () => true, metadata, extra = {}, name = `${lora}.safetensors` }: WriteOptions = {},
): string {
  const tensors = new Map<string, RawTensor>();
  const { rank, alpha } = loras[lora];
  const peft = naming === 'peft' || naming === 'processor';
  for (const row of rows[`${model}/${lora}`]!.filter(([component, module]) => only(component, module))) {
    const place = placeOf(model, row, naming);
    for (const part of ['down', 'up'] as const) {
      const [shape, amplitude] = part === 'down' ? [row[2], row[4]] : [row[3], row[5]];
      const count = shape.reduce((all, side) => all * side, 1);
      const values = noise(`${lora}.${row[0]}.${row[1]}.${part}`, count).map((value) => value * amplitude);
      tensors.set(`${place}${leafOf(naming, place, part)}`, tensorOf(values, shape, dtype));
    }
    if (!peft && alpha !== null) tensors.set(`${place}.alpha`, tensorOf(Float32Array.of(alpha), [], dtype));
  }
  for (const [key, tensor] of Object.entries(extra)) tensors.set(key, tensor);
  const stated = peft && alpha !== null ? { lora_adapter_metadata: scaling(model, rank, alpha) } : {};
  const path = join(temporaryFolder(), name);
  writeWithMetadata(path, tensors, { ...stated, ...metadata });
  return path;
}

export function tensorOf(values: Float32Array, shape: readonly number[], dtype: 'F32' | 'F16'): RawTensor {
  const data = dtype === 'F32' ? values : new Uint16Array(values.length);
  if (dtype === 'F16') for (let i = 0; i < values.length; i++) data[i] = f16(values[i]!);
  return { dtype, shape, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

function placeOf(model: LoraModel, [component, module]: LoraRow, naming: Naming): string {
  const text = component !== 'unet';
  const canonical = text && !/^text_/.test(module) ? `text_model.${module}` : module;
  if (naming === 'peft') return `${component}.${canonical}`;
  if (naming === 'processor') {
    const old = canonical.replace(/\.(attn[12])\.(to_[qkv]|to_out)(\.0)?$/, '.$1.processor.$2');
    return `${component}.${old}`;
  }
  const prefix = {
    unet: 'lora_unet_',
    text_encoder: model === 'sdxl' ? 'lora_te1_' : 'lora_te_',
    text_encoder_2: 'lora_te2_',
  }[component]!;
  const own = naming === 'sgm' && !text ? sgmName(model, module) : canonical;
  return `${prefix}${own.replaceAll('.', '_')}`;
}

const sgm = new Map<LoraModel, Map<string, string>>();

/** Returns CompVis' name of a module, from the manifest of the model's single file. */
function sgmName(model: LoraModel, module: string): string {
  const names =
    sgm.get(model) ??
    new Map(manifest(model).flatMap((row) => (row[0] === 'unet' ? [[row[1], row[5]] as const] : [])));
  sgm.set(model, names);
  return names
    .get(`${module}.weight`)!
    .replace(/^model\.diffusion_model\./, '')
    .replace(/\.weight$/, '');
}

function leafOf(naming: Naming, place: string, part: 'down' | 'up'): string {
  if (naming === 'peft') return part === 'down' ? '.lora_A.weight' : '.lora_B.weight';
  if (naming !== 'processor') return `.lora_${part}.weight`;
  if (place.includes('.processor.')) return `_lora.${part}.weight`;
  return place.startsWith('text') ? `.lora_linear_layer.${part}.weight` : `.lora.${part}.weight`;
}

/** Returns the metadata that diffusers writes into a file. */
function scaling(model: LoraModel, r: number, alpha: number): string {
  const components = ['unet', 'text_encoder', ...(model === 'sdxl' ? ['text_encoder_2'] : [])];
  return JSON.stringify(
    Object.fromEntries(
      components.flatMap((component) => [
        [`${component}.r`, r],
        [`${component}.lora_alpha`, alpha],
        [`${component}.use_rslora`, false],
      ]),
    ),
  );
}

export function writeWithMetadata(
  path: string,
  tensors: ReadonlyMap<string, RawTensor>,
  metadata: Readonly<Record<string, string>>,
): void {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt', ...metadata } };
  let offset = 0;
  for (const [name, { dtype, shape, data }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, ...[...tensors.values()].map(({ data }) => data)]));
}

/** Reads the tensors that Python wrote into a folder of fixtures. */
export async function expected(
  folder = FIXTURES,
): Promise<(name: string) => Tensor<Float32Array | Int32Array>> {
  const { tensors, path } = await readSafetensors(join(folder, 'outputs.safetensors'));
  const bytes = readFileSync(path);
  return (name) => {
    const { offset, length, dtype, shape } = tensors.get(name)!;
    const own = Uint8Array.from(bytes.subarray(offset, offset + length)).buffer;
    return dtype === 'I32'
      ? Tensor.from(new Int32Array(own), shape)
      : Tensor.from(new Float32Array(own), shape);
  };
}
