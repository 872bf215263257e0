/** What can be tapped. */
import type { NodeInfo } from '../../binding/types.js';
import type { LoadedModel, ModuleName } from '../../families/shared/loaded-model.js';
import * as check from '../../options/check.js';
import { checkModule } from '../model/module-names.js';
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

export async function listNodes(loaded: LoadedModel, options: NodesOptions): Promise<NodeInfo[]> {
  check.knownKeys('options', options, new Set(['module', 'width', 'height', 'batch', 'chunks']));
  const module = checkModule(options.module, loaded.facts.modules);
  const batch = check.integer('batch', options.batch ?? 1, 1, 128);
  const chunks = check.integer('chunks', options.chunks ?? 1, 1, 1000);
  const { facts } = loaded;
  const { width = facts.defaults.width, height = facts.defaults.height } = checkSize(
    options,
    facts.downsampleFactor,
  );
  if (module === 'encoder' || module === 'decoder') {
    const codec = await loaded.codec();
    return codec.nodes(module === 'encoder' ? 'encode' : 'decode', { batch, width, height });
  }
  if (module === 'unet') {
    const { network } = await loaded.denoiser();
    const [h, w] = [height / facts.downsampleFactor, width / facts.downsampleFactor];
    return network.nodes([batch, facts.latentChannels, h, w], chunks);
  }
  const encoders = await loaded.textEncoders();
  const { encoder, tokenizer } = encoders[module === 'text_encoder' ? 0 : 1]!;
  return encoder.nodes({ batch: batch * chunks, length: tokenizer.window });
}
