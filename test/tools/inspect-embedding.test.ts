/** `inspectModel` and `safelight inspect` of embeddings. */
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { inspectModel } from '../../lib/tools/inspect.js';
import { startSession } from '../support/cli.js';
import { removeFolders, temporaryFolder, tensorOf, writeWithMetadata } from '../support/lora.js';
import type { RawTensor } from '../support/tiny-models.js';
import { writeTorch } from '../support/torch/checkpoint.js';

const { run, end } = startSession();
afterAll(() => {
  end();
  removeFolders();
});

const table = (...shape: number[]): RawTensor =>
  tensorOf(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.1), shape, 'F32');

function written(tensors: Readonly<Record<string, RawTensor>>, name = 'ink.safetensors'): string {
  const path = join(temporaryFolder(), name);
  writeWithMetadata(path, new Map(Object.entries(tensors)), {});
  return path;
}

describe('inspectModel of an embedding', () => {
  it.each([
    ['kohya', { emb_params: table(2, 768) }, 'sd1', 2, [768]],
    ['kohya for SD2', { emb_params: table(3, 1024) }, 'sd2', 3, [1024]],
    ['kohya for SDXL', { clip_l: table(4, 768), clip_g: table(4, 1280) }, 'sdxl', 4, [768, 1280]],
    ['diffusers', { '<ink>': table(768) }, 'sd1', 1, [768]],
    ['another width', { emb_params: table(1, 64) }, null, 1, [64]],
  ])('describes a file of %s', async (_, tensors, family, vectors, widths) => {
    const path = written(tensors as Record<string, RawTensor>);
    const found = await inspectModel(path);
    expect(JSON.parse(JSON.stringify(found))).toEqual(found);
    expect(found).toMatchObject({ path, form: 'embedding', family });
    expect(found.embedding).toEqual({
      ...{ path, kind: 'embedding', family, name: 'ink', vectors, widths, steps: null, baseModel: null },
      hash: expect.stringMatching(/^[0-9a-f]{12}$/),
    });
  });

  it("describes A1111's file, which names its vectors after a placeholder", async () => {
    const path = join(temporaryFolder(), 'ink.pt');
    writeTorch(path, new Map([['string_to_param.*', table(5, 768)]]));
    expect((await inspectModel(path)).embedding).toMatchObject({ name: 'ink', vectors: 5, family: 'sd1' });
  });

  it('leaves other files alone', async () => {
    const two = await inspectModel(written({ first: table(2, 2), second: table(2, 2) }));
    const dotted = await inspectModel(written({ 'layer.weight': table(2, 2) }));
    const filter = await inspectModel(written({ filter: table(2, 2, 3, 3) }));
    for (const found of [two, dotted, filter]) {
      expect(found.form).toBe('other');
      expect(found).not.toHaveProperty('embedding');
    }
  });
});

describe('safelight inspect EMBEDDING', () => {
  it('prints its size, as JSON too', async () => {
    const path = written({ clip_l: table(4, 768), clip_g: table(4, 1280) });
    const { code, stdout } = await run(['inspect', path]);
    expect(code).toBe(0);
    expect(stdout).toContain('Embedding for Stable Diffusion XL, 4 vectors of 768 and 1280 numbers');
    const json = await run(['inspect', path, '--json']);
    expect(JSON.parse(json.stdout)).toMatchObject({
      ...{
        form: 'embedding',
        kind: 'embedding',
        name: 'ink',
        vectors: 4,
        widths: [768, 1280],
        family: 'sdxl',
      },
    });
  });
});
