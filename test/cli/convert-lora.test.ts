/** `safelight convert --lora` through the compiled command line. */
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { convertModel } from '../../lib/tools/convert.js';
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

describe('safelight convert --lora', () => {
  it('merges LoRAs at their weights as the API does', async () => {
    const [whole, attention] = [writeLora('sd1', 'whole'), writeLora('sd1', 'attention', 'peft')];
    const [out, api, plain] = ['out', 'api', 'plain'].map((name) => work.file(`${name}.gguf`)) as [
      string,
      string,
      string,
    ];
    const { code, stdout, stderr } = await run([
      ...[
        'convert',
        model,
        out,
        '--lora',
        `${whole}:0.5`,
        '--lora',
        `${attention}:-1:0.25`,
        '--json',
        '--quiet',
        '--quiet',
      ],
    ]);
    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toMatchObject({ file: out, family: 'sd1', warnings: [] });
    await convertModel(model, api, {
      loras: [
        { path: whole, weight: 0.5 },
        { path: attention, weight: -1, textEncoderWeight: 0.25 },
      ],
    });
    await convertModel(model, plain);
    expect(readFileSync(out).equals(readFileSync(api))).toBe(true);
    expect(readFileSync(out).equals(readFileSync(plain))).toBe(false);
  });

  it('rejects a missing LoRA, one of another family, and a weight out of range', async () => {
    const convert = (lora: string) => run(['convert', model, work.file('none.gguf'), '--lora', lora]);
    const missing = await convert(work.file('nothing.safetensors:0.8'));
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringMatching(/The LoRA .* does not exist/)]);
    const other = await convert(writeLora('sdxl', 'attention'));
    expect([other.code, other.stderr]).toEqual([1, expect.stringContaining('does not fit the model')]);
    const heavy = await convert(`${writeLora('sd1', 'whole')}:1000`);
    expect([heavy.code, heavy.stderr]).toEqual([2, expect.stringContaining('loras[0].weight')]);
  });
});
