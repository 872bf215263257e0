/** Training settings in a file's text metadata. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { OpenModelOptions } from '../../../lib/checkpoint/model-descriptor.js';
import { readStatedTraining } from '../../../lib/checkpoint/stated-training.js';
import { openModel } from '../../../lib/families/registry.js';
import { DiscreteSchedule } from '../../../lib/sampling/discrete-schedule.js';
import { inspectModel } from '../../../lib/tools/inspect.js';
import { checkpoint, reference } from '../../support/checkpoint/reference-names.js';
import {
  type FakeTensor,
  headerOf,
  scratch,
  writeJson,
  writeSparse,
} from '../../support/checkpoint/sparse-files.js';
import { build, F16, text, u8, value } from '../../support/gguf/bytes.js';

const folder = scratch();
let count = 0;
const sd1 = checkpoint(reference.tiny_sd1!);
const sd2 = checkpoint(reference.tiny_sd2!);
const sdxl = checkpoint(reference.tiny_sdxl!);
const MARKER: FakeTensor = { dtype: 'F32', shape: [0] };

async function trained(
  tensors: Record<string, FakeTensor>,
  metadata: Record<string, string>,
  options: OpenModelOptions = {},
): Promise<[prediction: string, zero: boolean, uncertain: boolean]> {
  const path = await writeSparse(join(folder, `${count++}.safetensors`), tensors, metadata);
  const { scheduler, predictionUncertain } = await openModel(path, options);
  return [scheduler.prediction, scheduler.rescale_zero_snr, predictionUncertain];
}

describe('metadata of a single file', () => {
  test.each<[Record<string, string>, string]>([
    [{ 'modelspec.prediction_type': 'v' }, 'v'],
    [{ 'modelspec.prediction_type': 'V_Prediction' }, 'v'],
    [{ 'modelspec.prediction_type': 'v-prediction' }, 'v'],
    [{ 'modelspec.prediction_type': ' Epsilon ' }, 'eps'],
    [{ 'modelspec.prediction_type': 'sample' }, 'x0'],
    [{ 'modelspec.predict_key': 'v' }, 'v'],
    [{ ss_v_parameterization: 'True' }, 'v'],
    [{ ss_v_parameterization: '1' }, 'v'],
    [{ ss_v_parameterization: 'false' }, 'eps'],
    [{ ss_base_model_version: 'sd_v2_v' }, 'v'],
    [{ ss_base_model_version: 'sd_v2' }, 'eps'],
    [{ 'modelspec.architecture': 'stable-diffusion-v2-768-v' }, 'v'],
    [{ 'modelspec.architecture': 'stable-diffusion-v2-512' }, 'eps'],
    [{ 'modelspec.prediction_type': 'epsilon', ss_v_parameterization: 'True' }, 'eps'],
    [{ 'modelspec.prediction_type': 'unknown', ss_v_parameterization: 'True' }, 'v'],
  ])('%j sets the prediction %s', async (metadata, prediction) => {
    // SD2's shape leaves it open, so no probe has to run.
    expect(await trained(sd2, metadata)).toEqual([prediction, false, false]);
    expect((await trained(sdxl, metadata))[0]).toBe(prediction);
    expect((await trained(sd1, metadata))[0]).toBe(prediction);
  });

  test.each<Record<string, string>>([
    {},
    { ss_v2: 'True' },
    { ss_v2: 'False', ss_v_parameterization: 'None' },
    { 'modelspec.prediction_type': '' },
    { 'modelspec.prediction_type': 'rectified flow', ss_zero_terminal_snr: 'None' },
    { 'modelspec.prediction_type': '__proto__', ss_base_model_version: 'constructor' },
    { 'modelspec.architecture': 'stable-diffusion-xl-v1-base', ss_base_model_version: 'sdxl_base_v1-0' },
    { ss_base_model_version: '__proto__', 'modelspec.architecture': 'stable-diffusion-v2-768-vae' },
  ])('%j leaves the prediction of an SD2 model open', async (metadata) => {
    expect(await trained(sd2, metadata)).toEqual(['eps', false, true]);
    expect(await trained(sdxl, metadata)).toEqual(['eps', false, false]);
  });

  test.each(['True', 'true', '1', 'yes'])('"%s" enables zero terminal SNR', async (flag) => {
    const metadata = { ss_zero_terminal_snr: flag, 'modelspec.prediction_type': 'v' };
    expect(await trained(sdxl, metadata)).toEqual(['v', true, false]);
    const path = await writeSparse(join(folder, `${count++}.safetensors`), sdxl, metadata);
    const { scheduler } = await openModel(path);
    // The last noise level of the schedule that samplers use: pure noise.
    expect(DiscreteSchedule.fromConfig(scheduler).sigmaMax).toBeGreaterThan(4000);
  });

  test('has lower precedence than tensors, a given config and the option', async () => {
    const eps = { 'modelspec.prediction_type': 'epsilon', ss_zero_terminal_snr: 'False' };
    expect(await trained({ ...sdxl, v_pred: MARKER, ztsnr: MARKER }, eps)).toEqual(['v', true, false]);
    const v = { 'modelspec.prediction_type': 'v', ss_zero_terminal_snr: 'True' };
    expect(await trained(sdxl, v, { prediction: 'eps' })).toEqual(['eps', true, false]);
    expect(await trained({ ...sdxl, v_pred: MARKER }, v, { prediction: 'x0' })).toEqual(['x0', true, false]);
    const yaml = join(folder, 'eps.yaml');
    await writeFile(
      yaml,
      'model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n  params:\n    linear_start: 0.00085\n    linear_end: 0.012\n    parameterization: eps\n',
    );
    expect((await trained(sd2, v, { config: yaml }))[0]).toBe('eps');
  });

  test('is read from any shard', async () => {
    const own = join(folder, 'shards');
    await mkdir(own);
    const names = Object.keys(sdxl);
    const half = (odd: 0 | 1) => Object.fromEntries(Object.entries(sdxl).filter((_, i) => i % 2 === odd));
    await writeSparse(join(own, 'a.safetensors'), half(0), { format: 'pt' });
    await writeSparse(join(own, 'b.safetensors'), half(1), { 'modelspec.prediction_type': 'v' });
    const index = await writeJson(join(own, 'model.safetensors.index.json'), {
      weight_map: Object.fromEntries(
        names.map((name, i) => [name, i % 2 ? 'b.safetensors' : 'a.safetensors']),
      ),
    });
    expect((await openModel(index)).scheduler.prediction).toBe('v');
  });

  test('is read from GGUF, whatever the types of its values', async () => {
    const tensors = Object.entries(sd2);
    const write = async (...metadata: [string, Buffer][]): Promise<string> => {
      let offset = 0;
      const placed = tensors.map(([name, { shape }]) => {
        const at = offset;
        offset += Math.ceil((2 * shape.reduce((a, b) => a * b, 1)) / 32) * 32;
        const ne = shape.length > 0 ? shape.toReversed() : [1];
        return { name, ne, type: F16, offset: at };
      });
      const path = join(folder, `${count++}.gguf`);
      await writeFile(path, build({ tensors: placed, metadata, data: offset }));
      return path;
    };
    const path = await write(
      ['modelspec.prediction_type', value(8, text('v_prediction'))],
      ['ss_zero_terminal_snr', value(7, u8(1))],
    );
    expect(await openModel(path)).toMatchObject({
      scheduler: { prediction: 'v', rescale_zero_snr: true },
      predictionUncertain: false,
    });
    const odd = await write(
      ['modelspec.prediction_type', value(7, u8(1))],
      ['ztsnr', value(6, Buffer.alloc(4))],
    );
    expect(await openModel(odd)).toMatchObject({ predictionUncertain: true });
  });

  test('is reported by inspect', async () => {
    const path = await writeSparse(join(folder, 'told.safetensors'), sdxl, {
      'ModelSpec.Prediction_Type': 'v',
    });
    expect((await inspectModel(path)).predictionFrom).toEqual({
      kind: 'metadata',
      name: 'modelspec.prediction_type',
    });
    expect((await inspectModel(path, { prediction: 'eps' })).predictionFrom).toEqual({ kind: 'option' });
    const marked = await writeSparse(join(folder, 'marked.safetensors'), { ...sdxl, v_pred: MARKER });
    expect((await inspectModel(marked)).predictionFrom).toEqual({ kind: 'tensor', name: 'v_pred' });
    const plain = await writeSparse(join(folder, 'plain.safetensors'), sdxl);
    expect((await inspectModel(plain)).predictionFrom).toEqual({ kind: 'family' });
  });
});

test('reads metadata of any kind without an error', () => {
  const odd = ['', ' ', 'v'.repeat(100_000), '\u0000', 'NaN', '[]', '{"a":1}', 'null'];
  const keys = [
    'modelspec.prediction_type',
    'ss_v_parameterization',
    'ss_zero_terminal_snr',
    'v_pred',
    '__proto__',
  ];
  for (const key of keys)
    for (const text of odd) expect(() => readStatedTraining(new Map([[key, text]]))).not.toThrow();
  expect(headerOf({}, { a: '' }).data).toBe(0);
});
