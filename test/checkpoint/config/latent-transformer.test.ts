import { describe, expect, it } from 'vitest';
import * as yaml from 'yaml';
import { readConditionConfig } from '../../../lib/checkpoint/config/omegaconf/condition.js';
import {
  readCodeOrder,
  readLatentTransformerConfig,
} from '../../../lib/checkpoint/config/omegaconf/latent-transformer.js';
import { ModelConfig } from '../../../lib/checkpoint/config/omegaconf/model-config.js';
import { parseYaml } from '../../../lib/checkpoint/config/omegaconf/yaml-tree.js';
import { openVqganTransformer } from '../../../lib/families/shared/vqgan/vqgan-transformer.js';
import { LatentTransformer } from '../../../lib/modules/latent-transformer.js';
import { weightsOf } from '../../support/vqgan/latent-transformer.js';

const params = (text: string) => new ModelConfig('model.yaml', parseYaml(text, 'model.yaml', yaml));
const failure = (code: string, ...parts: string[]) =>
  expect.objectContaining({ code, message: expect.stringMatching(new RegExp(parts.join('.*'))) });

it('reads the condition of a Net2NetTransformer from its YAML', () => {
  const cases: [string, object][] = [
    ['cond_stage_config: __is_unconditional__', { kind: 'none', start: 0 }],
    [
      '{cond_stage_config: {target: x.VQModel}, unconditional: true, sos_token: 5}',
      { kind: 'none', start: 5 },
    ],
    [
      'cond_stage_config: {target: taming.modules.util.SOSProvider, params: {sos_token: 2}}',
      { kind: 'none', start: 2 },
    ],
    [
      'cond_stage_config: {target: taming.modules.util.Labelator, params: {n_classes: 1000}}',
      { kind: 'class', classes: 1000 },
    ],
    [
      'cond_stage_config: {target: taming.modules.misc.coord.CoordStage, params: {n_embed: 1024, down_factor: 16}}',
      { kind: 'coordinates', codes: 1024, factor: 16 },
    ],
    ['cond_stage_config: __is_first_stage__', { kind: 'image', autoencoder: null, size: null }],
    [
      '{cond_stage_config: __is_first_stage__, downsample_cond_size: 256}',
      { kind: 'image', autoencoder: null, size: 256 },
    ],
  ];
  for (const [yaml, condition] of cases) expect(readConditionConfig(params(yaml)), yaml).toEqual(condition);
  const image = readConditionConfig(
    params('cond_stage_config: {target: taming.models.vqgan.VQModel, params: {n_embed: 7}}'),
  );
  expect(image.kind === 'image' && image.autoencoder?.getInt('params.n_embed')).toBe(7);
});

it('names an unsupported condition', () => {
  expect(() => readConditionConfig(params('first_stage_key: image'))).toThrow(
    failure('INVALID_FILE', 'cond_stage_config'),
  );
  expect(() => readConditionConfig(params('cond_stage_config: {target: my.Stage}'))).toThrow(
    failure('UNSUPPORTED_MODEL', 'my.Stage'),
  );
  expect(() => readConditionConfig(params('cond_stage_config: {target: util.Labelator}'))).toThrow(
    failure('INVALID_FILE', 'n_classes'),
  );
});

it('reads the order of code indices from the permuter', () => {
  expect(readCodeOrder(params('cond_stage_key: x'))).toBe('identity');
  const permuter = (name: string) =>
    params(`permuter_config: {target: taming.modules.transformer.permuter.${name}}`);
  expect(readCodeOrder(permuter('SpiralOut'))).toBe('spiral_out');
  expect(() => readCodeOrder(permuter('toString'))).toThrow(failure('UNSUPPORTED_MODEL', 'permuter_config'));
});

const GPT = 'target: taming.modules.transformer.mingpt.GPT';

it("reads the transformer's sizes from its tensors and the number of heads from the YAML", async () => {
  const weights = await weightsOf('latent-transformer-unmasked');
  const sizes = { vocab_size: 11, block_size: 20, n_layer: 2, n_embd: 18 };
  expect(
    readLatentTransformerConfig(
      weights,
      params(`{${GPT}, params: {n_head: 3, n_unmasked: 7, vocab_size: 11}}`),
    ),
  ).toEqual({
    ...sizes,
    n_head: 3,
    n_unmasked: 7,
  });
  const bad: [ModelConfig | null, string, string][] = [
    [null, 'UNSUPPORTED_MODEL', 'n_head'],
    [
      params('{target: taming.modules.transformer.mingpt.CodeGPT, params: {n_head: 3}}'),
      'UNSUPPORTED_MODEL',
      'CodeGPT',
    ],
    [params(`{${GPT}, params: {n_head: 4}}`), 'UNSUPPORTED_MODEL', 'n_head'],
    [params(`{${GPT}, params: {n_head: 0}}`), 'INVALID_FILE', 'n_head'],
    [params(`{${GPT}, params: {n_head: 3, block_size: 21}}`), 'INVALID_FILE', 'block_size'],
    [params(`{${GPT}, params: {n_head: 3, n_unmasked: 21}}`), 'INVALID_FILE', 'n_unmasked'],
  ];
  for (const [section, code, part] of bad) {
    expect(() => readLatentTransformerConfig(weights, section)).toThrow(failure(code, part));
  }
});

describe('latent transformer of a checkpoint', () => {
  const place = async (yaml: string | null) => {
    const { tensors: found } = await weightsOf('latent-transformer');
    const tensors = new Map(
      [...found].map(([name, info]) => {
        const renamed = name.replace('weights/', 'transformer.');
        return [renamed, { ...info, name: renamed }];
      }),
    );
    const openCondition = (section: ModelConfig) => section.getString('target');
    return {
      tensors,
      path: 'm.ckpt',
      yaml: yaml === null ? null : params(yaml),
      firstStage: 'first',
      openCondition,
    };
  };
  const model = (more: string) =>
    `model: {params: {transformer_config: {${GPT}, params: {n_head: 4}}, ${more}}}`;

  it('is found with its condition and order', async () => {
    const sketch = model(
      'cond_stage_config: {target: taming.models.vqgan.VQModel}, downsample_cond_size: 64',
    );
    const { transformer, condition, problem } = openVqganTransformer(await place(sketch));
    expect(problem).toBeNull();
    expect(transformer?.config).toMatchObject({ n_head: 4, n_layer: 2, block_size: 18 });
    expect(transformer?.order).toBe('identity');
    expect(condition).toEqual({ kind: 'image', autoencoder: 'taming.models.vqgan.VQModel', size: 64 });
    const loaded = await LatentTransformer.load(transformer!, { backend: 'cpu', threads: 1 });
    expect(loaded.vocabulary).toBe(23);
    loaded.dispose();

    const own = model('cond_stage_config: __is_first_stage__, permuter_config: {target: p.ZCurve}');
    const second = openVqganTransformer(await place(own));
    expect(second.condition).toEqual({ kind: 'image', autoencoder: 'first', size: null });
    expect(second.transformer?.order).toBe('zcurve');
  });

  it('is missing in an autoencoder, and a missing YAML is reported as the reason', async () => {
    const whole = await place(null);
    expect(openVqganTransformer({ ...whole, tensors: new Map() })).toMatchObject({
      transformer: null,
      problem: null,
    });
    expect(openVqganTransformer(whole)).toMatchObject({
      transformer: null,
      problem: expect.stringMatching(/m\.ckpt.*n_head.*--config/),
    });
  });
});
