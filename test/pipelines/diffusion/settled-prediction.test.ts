import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import { writeSingleFile } from '../../support/tiny-models.js';

vi.mock('../../../lib/modules/prediction-probe.js', () => ({ probePrediction: async () => 'v' }));

const root = mkdtempSync(join(tmpdir(), 'safelight-settled-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

it('samples with the prediction type that the first call detects as it loads the U-Net', async () => {
  const file = writeSingleFile('sd2', join(root, 'sd2.safetensors'));
  const draw = async (options: { prediction?: 'v' | 'eps' }) => {
    await using pipeline = await Pipeline.load(file, { parts: [], ...options });
    const positive = await pipeline.encodeText('a');
    return [...(await pipeline.denoise({ positive, seed: 1, width: 32, height: 32, steps: 2 })).data];
  };
  const settled = await draw({});
  expect(settled).toEqual(await draw({ prediction: 'v' }));
  expect(settled).not.toEqual(await draw({ prediction: 'eps' }));
});
