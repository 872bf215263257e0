/** `safelight generate --lora` through the compiled command line. */
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { readImage } from '../../lib/image/read.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import { run, workFolder } from '../support/cli.js';
import { removeFolders, writeLora } from '../support/lora.js';
import { writeFolder } from '../support/tiny-models.js';

const work = workFolder();
const model = writeFolder('sd1', work.file('model'));
afterAll(() => {
  work.remove();
  removeFolders();
});

const prompt = 'a red apple';
const SIZE = ['--width', '32', '--height', '32', '--steps', '2', '--seed', '5', '--threads', '2', '--quiet'];

function generate(...more: string[]) {
  return run(
    ['generate', prompt, '--model', model, '-o', work.file('out.png'), '--json', ...SIZE, ...more],
    work.path,
  );
}

describe('safelight generate --lora', () => {
  it('applies LoRAs at their weights as the API does', async () => {
    const [whole, attention] = [writeLora('sd1', 'whole'), writeLora('sd1', 'attention', 'peft')];
    const { code, stdout, stderr } = await generate(
      '--lora',
      `${whole}:0.5`,
      '--lora',
      `${attention}:-1:0.25`,
    );
    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toMatchObject({ warnings: [] });
    const { data } = await readImage(readFileSync(work.file('out.png')));
    await using pipeline = await Pipeline.load(model, { threads: 2 });
    const { images } = await pipeline.generate({
      ...{ prompt, width: 32, height: 32, steps: 2, seed: 5 },
      loras: [
        { path: whole, weight: 0.5 },
        { path: attention, weight: -1, textEncoderWeight: 0.25 },
      ],
    });
    expect(Buffer.from(data).equals(Buffer.from(images[0]!.data))).toBe(true);
  });

  it('reports what is wrong with a file before it loads the model', async () => {
    const missing = await generate('--lora', work.file('nothing.safetensors:0.8'));
    expect(missing.code).toBe(1);
    expect(missing.stderr).toMatch(/The LoRA .*nothing\.safetensors does not exist/);
    const heavy = await generate('--lora', `${writeLora('sd1', 'whole')}:1000`);
    expect(heavy.code).toBe(2);
    expect(heavy.stderr).toContain('loras[0].weight');
  });

  it('rejects a LoRA of another family in one sentence', async () => {
    const { code, stderr } = await generate('--lora', writeLora('sdxl', 'attention'));
    expect(code).toBe(1);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toContain('does not fit the model');
  });
});
