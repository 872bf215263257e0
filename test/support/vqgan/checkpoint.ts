/**
 * Whole taming checkpoints with tiny networks: the fixture's VQGAN, and a transformer of two layers for its
 * code indices.
 */
import { f16Tensor, type RawTensor } from '../tiny-models.js';
import { sections, tensorsOf, writeCheckpoint } from './autoencoders.js';

export const autoencoders = sections('autoencoders');
export const firstStage = { target: 'taming.models.vqgan.VQModel', params: autoencoders.vqgan!.about.params };

/** minGPT of two layers over the 128 code indices of the fixture's VQGAN. */
export function transformer(block: number): Map<string, RawTensor> {
  const width = 32;
  const shapes: [string, number[], number, number][] = [
    ['tok_emb.weight', [128, width], 1, 0],
    ['pos_emb', [1, block, width], 0.5, 0],
    ['ln_f.weight', [width], 0.25, 1],
    ['ln_f.bias', [width], 0.25, 0],
    ['head.weight', [128, width], 0.5, 0],
  ];
  for (const layer of [0, 1].map((n) => `blocks.${n}.`)) {
    for (const norm of ['ln1', 'ln2'])
      shapes.push([`${layer}${norm}.weight`, [width], 0.25, 1], [`${layer}${norm}.bias`, [width], 0.25, 0]);
    for (const name of ['key', 'query', 'value', 'proj'])
      shapes.push(
        [`${layer}attn.${name}.weight`, [width, width], 0.25, 0],
        [`${layer}attn.${name}.bias`, [width], 0.25, 0],
      );
    shapes.push(
      [`${layer}mlp.0.weight`, [4 * width, width], 0.25, 0],
      [`${layer}mlp.0.bias`, [4 * width], 0.25, 0],
    );
    shapes.push(
      [`${layer}mlp.2.weight`, [width, 4 * width], 0.25, 0],
      [`${layer}mlp.2.bias`, [width], 0.25, 0],
    );
  }
  return new Map(
    shapes.map(([name, shape, amplitude, base]) => [
      `transformer.${name}`,
      f16Tensor(['writer', name, shape, amplitude, base, '', null]),
    ]),
  );
}

/** Writes a checkpoint whose code indices are conditioned as `cond_stage_config` defines. */
export function writeWriter(
  path: string,
  block: number,
  params: Record<string, unknown>,
  more: ReadonlyMap<string, RawTensor> = new Map(),
): string {
  const tensors = tensorsOf('vqgan', autoencoders.vqgan!, { prefix: 'first_stage_model.' });
  for (const part of [transformer(block), more]) for (const [key, value] of part) tensors.set(key, value);
  const config = { vocab_size: 128, block_size: block, n_layer: 2, n_head: 4, n_embd: 32 };
  return writeCheckpoint(path, tensors, {
    target: 'taming.models.cond_transformer.Net2NetTransformer',
    params: {
      transformer_config: { target: 'taming.modules.transformer.mingpt.GPT', params: config },
      first_stage_config: firstStage,
      ...params,
    },
  });
}
