/** `inspectModel` of LoRAs: their description, and their match with a model. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectModel } from '../../lib/tools/inspect.js';
import { removeFolders, temporaryFolder, tensorOf, writeLora, writeWithMetadata } from '../support/lora.js';
import { writeLycoris } from '../support/lycoris.js';
import { type RawTensor, writeFolder } from '../support/tiny-models.js';

let sd1: string;
beforeAll(() => {
  sd1 = writeFolder('sd1', temporaryFolder());
});
afterAll(removeFolders);

const zeros = (...shape: number[]): RawTensor =>
  tensorOf(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape, 'F32');

function written(tensors: Readonly<Record<string, RawTensor>>): string {
  const path = join(temporaryFolder(), 'file.safetensors');
  writeWithMetadata(path, new Map(Object.entries(tensors)), {});
  return path;
}

describe('inspectModel of a LoRA', () => {
  it('describes it as plain data', async () => {
    const metadata = { ss_base_model_version: 'sd_v1', ss_trigger_words: 'ink style' };
    const path = writeLora('sd1', 'whole', 'kohya', { metadata });
    const found = await inspectModel(path);
    expect(JSON.parse(JSON.stringify(found))).toEqual(found);
    expect(found).toMatchObject({ path, form: 'lora', family: 'sd1', components: [], ignored: [] });
    expect(found.problem).toContain('--lora');
    expect(found.lora).toMatchObject({
      ...{ path, kind: 'locon', family: 'sd1', rank: 4, alpha: 2, baseModel: 'sd_v1', name: null },
      ...{ triggerWords: ['ink style'], tensors: found.tensors.length },
    });
    expect(found.lora!.targets).toContain('unet:attn2.to_k');
    expect(found.lora!.hash).toMatch(/^[0-9a-f]{12}$/);
    expect(found).not.toHaveProperty('matched');
  });

  it.each(['peft', 'processor', 'sgm'] as const)('recognizes the names of %s', async (naming) => {
    const { form, lora } = await inspectModel(writeLora('sdxl', 'attention', naming));
    expect([form, lora?.kind, lora?.family]).toEqual(['lora', 'lora', 'sdxl']);
  });

  it.each(['lokr', 'ia3-input', 'oft', 'full', 'norm'])('recognizes the form %s', async (form) => {
    expect((await inspectModel(writeLycoris(form))).form).toBe('lora');
  });

  it('reports a form that is not supported as the problem of other weights', async () => {
    const found = await inspectModel(written({ 'lora_unet_conv_in.a1.weight': zeros(2, 2) }));
    expect(found).toMatchObject({ form: 'other' });
    expect(found).not.toHaveProperty('lora');
    expect(found.problem).toContain('GLoRA');
  });

  it('does not take other files for LoRAs', async () => {
    const found = await inspectModel(written({ a: zeros(2, 2), 'a.alpha': zeros() }));
    expect(found).toMatchObject({ form: 'other' });
    expect(found).not.toHaveProperty('lora');
  });
});

describe('inspectModel with the option lora', () => {
  it('counts the tensors that match the model and names the others', async () => {
    const extra = { 'lora_unet_nowhere.lora_up.weight': zeros(2, 2), 'text.note': zeros(1) };
    const path = writeLora('sd1', 'attention', 'kohya', { extra });
    const { form, family, components, lora, matched, unmatched, loraProblem } = await inspectModel(sd1, {
      lora: path,
    });
    expect([form, family, components.length]).toEqual(['folder', 'sd1', 3]);
    expect(lora).toMatchObject({ path, kind: 'lora', rank: 3, tensors: 202 });
    expect([matched, loraProblem]).toEqual([200, null]);
    expect(unmatched).toEqual(Object.keys(extra));
  });

  it('counts 0 for a LoRA of another family and says why', async () => {
    const layer = 'lora_unet_input_blocks_4_1_x';
    const tensors = { [`${layer}.lora_down.weight`]: zeros(2, 2), [`${layer}.lora_up.weight`]: zeros(2, 2) };
    const found = await inspectModel(sd1, { lora: written(tensors) });
    expect(found).toMatchObject({ matched: 0, unmatched: Object.keys(tensors), problem: null });
    expect(found.loraProblem).toContain('does not fit the model');
    const sdxl = await inspectModel(sd1, { lora: writeLora('sdxl', 'whole') });
    expect(sdxl.matched).toBeLessThan(sdxl.unmatched!.length);
    expect(sdxl.loraProblem).toContain('does not fit the model');
  });

  it('rejects another kind of file, a missing file and a value that is no path', async () => {
    const rejection = (lora: unknown) => inspectModel(sd1, { lora: lora as string });
    await expect(rejection(written({ a: zeros(1) }))).rejects.toMatchObject({ code: 'UNSUPPORTED_ADAPTER' });
    await expect(rejection(`${sd1}/none`)).rejects.toMatchObject({ code: 'ADAPTER_NOT_FOUND' });
    await expect(rejection(5)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});
