/** The adapters of test/reference/lora_forms.py, written as LyCORIS files, and the outputs that lycoris_lora and PEFT computed with them. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder, tensorOf, writeWithMetadata } from './lora.js';
import { noise, type RawTensor, readJson } from './tiny-models.js';

export const FIXTURES = fileURLToPath(new URL('../fixtures/lycoris/', import.meta.url));

/** `[component, module, { role: [shape, amplitude, mean] }, { role: number }]` */
type LycorisRow = readonly [
  component: string,
  module: string,
  tensors: Readonly<Record<string, readonly [shape: number[], amplitude: number, mean: number]>>,
  numbers: Readonly<Record<string, number>>,
];

interface Cases {
  readonly cases: readonly (readonly [form: string, strength: number, component: 'unet' | 'text_encoder'])[];
  readonly images: readonly {
    readonly form: string;
    readonly options: Readonly<Record<string, string | number>>;
    readonly image: string;
  }[];
}

export const { cases, images } = readJson<Cases>(join(FIXTURES, 'cases.json'));
const forms = readJson<Record<string, LycorisRow[]>>(join(FIXTURES, 'manifest.json'));

/** Writes the adapter of a form under LyCORIS' names. Returns its path. */
export function writeLycoris(form: string): string {
  const tensors = new Map<string, RawTensor>();
  for (const row of forms[form]!) {
    const [component, module, shapes, numbers] = row;
    const text = component !== 'unet';
    const canonical = text && !/^text_/.test(module) ? `text_model.${module}` : module;
    const place = `${text ? 'lora_te_' : 'lora_unet_'}${canonical.replaceAll('.', '_')}`;
    for (const role of Object.keys(shapes)) tensors.set(`${place}.${role}`, tensorFor(form, row, role));
    for (const [role, value] of Object.entries(numbers)) tensors.set(`${place}.${role}`, scalar(role, value));
  }
  return write(`${form}.safetensors`, tensors);
}

/** Writes the linear layers of the U-Net's form `dora` as diffusers saves a DoRA of PEFT. Returns its path. */
export function writePeftDora(): string {
  const tensors = new Map<string, RawTensor>();
  for (const row of forms.dora!) {
    const [component, module, shapes] = row;
    if (component !== 'unet' || shapes['lora_down.weight']![0].length !== 2) continue;
    const place = `unet.${module}`;
    tensors.set(`${place}.lora_A.weight`, tensorFor('dora', row, 'lora_down.weight'));
    tensors.set(`${place}.lora_B.weight`, tensorFor('dora', row, 'lora_up.weight'));
    const magnitude = tensorFor('dora', row, 'dora_scale');
    tensors.set(`${place}.lora_magnitude_vector`, { ...magnitude, shape: [magnitude.shape[0]!] });
  }
  const metadata = {
    lora_adapter_metadata: JSON.stringify({ 'unet.r': 4, 'unet.lora_alpha': 3, 'unet.use_dora': true }),
  };
  return write('peft-dora.safetensors', tensors, metadata);
}

function tensorFor(form: string, [component, module, shapes]: LycorisRow, role: string): RawTensor {
  const [shape, amplitude, mean] = shapes[role]!;
  const count = shape.reduce((all, side) => all * side, 1);
  const values = noise(`${form}.${component}.${module}.${role}`, count).map(
    // As NumPy computes it, in f32 throughout.
    (value) => Math.fround(Math.fround(mean) + Math.fround(Math.fround(amplitude) * value)),
  );
  return tensorOf(values, shape, 'F32');
}

/** LyCORIS stores the flag of IA3 as an integer. */
function scalar(role: string, value: number): RawTensor {
  if (role !== 'on_input') return tensorOf(Float32Array.of(value), [], 'F32');
  return { dtype: 'I64', shape: [], data: new Uint8Array(BigInt64Array.of(BigInt(value)).buffer) };
}

function write(
  name: string,
  tensors: ReadonlyMap<string, RawTensor>,
  metadata: Readonly<Record<string, string>> = {},
): string {
  const path = join(temporaryFolder(), name);
  writeWithMetadata(path, tensors, metadata);
  return path;
}
