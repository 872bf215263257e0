/** `safelight inspect` of LoRAs through the compiled command line. */
import { afterAll, describe, expect, it } from 'vitest';
import { startSession, workFolder } from '../support/cli.js';
import { removeFolders, writeLora } from '../support/lora.js';
import { writeFolder } from '../support/tiny-models.js';

const work = workFolder();
const { run, end } = startSession();
const model = writeFolder('sd1', work.file('model'));
afterAll(() => {
  end();
  work.remove();
  removeFolders();
});

const metadata = {
  ss_output_name: 'ink',
  ss_sd_model_name: 'v1-5',
  'modelspec.trigger_phrase': 'ink style, wet',
};

describe('safelight inspect LORA', () => {
  it('prints what is needed to use it', async () => {
    const { code, stdout } = await run(['inspect', writeLora('sdxl', 'whole', 'kohya', { metadata })]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/for Stable Diffusion XL, rank 4, alpha 2, \d+ tensors/);
    expect(stdout).toMatch(
      /^Hash: [0-9a-f]{12}\nName: ink\nTrained on: v1-5\nTrigger words: ink style, wet$/m,
    );
    expect(stdout).toMatch(/^unet +add_embedding\.linear_1, .*attn2\.to_k.*$/m);
    expect(stdout).not.toContain('Cannot be run');
  });

  it('prints its description as JSON', async () => {
    const path = writeLora('sd1', 'attention', 'kohya', { metadata });
    const { stdout } = await run(['inspect', path, '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ path, form: 'lora', kind: 'lora', family: null, rank: 3, alpha: null, tensors: 200 },
      ...{ triggerWords: ['ink style', 'wet'], baseModel: 'v1-5', name: 'ink' },
      hash: expect.stringMatching(/^[0-9a-f]{12}$/),
      targets: expect.arrayContaining(['unet:attn1.to_q']),
    });
    expect(JSON.parse((await run(['inspect', path, '--json', '--tensors'])).stdout).tensors).toHaveLength(
      200,
    );
  });
});

describe('safelight inspect MODEL --lora', () => {
  it('adds matched and unmatched', async () => {
    const path = writeLora('sd1', 'attention');
    const { code, stdout } = await run(['inspect', model, '--lora', path, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ form: 'folder', family: 'sd1', matched: 200, unmatched: [], loraProblem: null },
      lora: { path, kind: 'lora', rank: 3 },
    });
  });

  it('prints the number of matches and why a LoRA cannot be applied', async () => {
    const own = await run(['inspect', model, '--lora', writeLora('sd1', 'attention')]);
    expect(own.stdout).toContain('200 of 200 tensors of the LoRA match the model');
    expect(own.stdout).not.toContain('Cannot be applied');
    const other = await run(['inspect', model, '--lora', writeLora('sdxl', 'attention')]);
    expect(other.code).toBe(0);
    expect(other.stdout).toMatch(/^Not matched: .*, and \d+ more \(--json\)$/m);
    expect(other.stdout).toMatch(/^Cannot be applied: .* does not fit the model/m);
  });
});
