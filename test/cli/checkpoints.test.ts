import { existsSync, writeFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { run, workFolder } from '../support/cli.js';
import { FIXTURES } from '../support/torch/values.js';
import { call, dict, global, pickle, text, zipForm } from '../support/torch/write.js';

const folder = workFolder();
afterAll(folder.remove);

it('inspect lists the tensors of a PyTorch checkpoint, and of its moving average with --ema', async () => {
  const { code, stdout } = await run([
    'inspect',
    '--json',
    '--tensors',
    '--ema',
    `${FIXTURES}lightning.ckpt`,
  ]);
  expect(code).toBe(0);
  const { form, tensors } = JSON.parse(stdout) as { form: string; tensors: { name: string }[] };
  expect(form).toBe('other');
  expect(tensors.map(({ name }) => name)).toContain('model.a.weight');
  expect(tensors.map(({ name }) => name)).not.toContain('model_ema.aweight');
});

it('every command rejects a checkpoint that would run code with one sentence and runs nothing', async () => {
  const marker = folder.file('executed');
  const file = folder.file('evil.ckpt');
  writeFileSync(
    file,
    zipForm(pickle(dict({ state_dict: call(global('posix', 'system'), text(`touch ${marker}`)) }))),
  );
  for (const args of [
    ['inspect', file],
    ['generate', 'a fox', '--model', file, '--output', folder.file('a.png')],
    ['generate', 'a fox', '--vae', file, '--output', folder.file('a.png')],
  ]) {
    const { code, stderr } = await run(args);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/imports "posix\.system", which weights do not use; nothing was executed/);
  }
  expect(existsSync(marker)).toBe(false);
});
