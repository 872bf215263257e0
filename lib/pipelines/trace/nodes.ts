/** What can be tapped. */
import type { NodeInfo } from '../../binding/types.js';
import * as check from '../check.js';
import type { Modules } from '../model/lazy-model.js';
import { checkModule, type ModuleName } from '../model/module-names.js';
import { checkSize } from '../options.js';

export interface NodesOptions {
  /** One that the model has; an error lists them. */
  readonly module: ModuleName;
  /** Of the picture, in pixels; default the model's. */
  readonly width?: number;
  readonly height?: number;
  /** Pictures and conditions together; default 1. */
  readonly batch?: number;
  /** Windows of the prompt; default 1. */
  readonly chunks?: number;
}

export async function listNodes(modules: Modules, options: NodesOptions): Promise<NodeInfo[]> {
  check.knownKeys('options', options, new Set(['module', 'width', 'height', 'batch', 'chunks']));
  const module = checkModule(options.module, modules.source);
  const batch = check.integer('batch', options.batch ?? 1, 1, 128);
  const chunks = check.integer('chunks', options.chunks ?? 1, 1, 1000);
  const { facts } = modules;
  const { width = facts.defaults.width, height = facts.defaults.height } = checkSize(options, facts.factor);
  if (module === 'encoder' || module === 'decoder') {
    const codec = await modules.codec();
    return codec.nodes(module === 'encoder' ? 'encode' : 'decode', { batch, width, height });
  }
  const encoders = facts.condition.kind === 'text' ? await modules.encoders() : [];
  // A class is one token.
  const length = encoders[0]?.tokenizer.window ?? 1;
  if (module === 'unet') {
    const { unet } = await modules.denoiser();
    const size = { width: width / facts.factor, height: height / facts.factor };
    return unet.nodes({
      batch,
      ...size,
      length: chunks * length,
      timeIds: facts.family === 'sdxl_refiner' ? 5 : 6,
    });
  }
  const { encoder, tokenizer } = encoders[module === 'text_encoder' ? 0 : 1]!;
  return encoder.nodes({ batch: batch * chunks, length: tokenizer.window });
}
