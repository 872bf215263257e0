/** Listing of the nodes of a model. */
import type { NodeInfo } from '../../binding/types.js';
import type { LoadedModel, ModuleName } from '../../families/shared/loaded-model.js';
import * as check from '../../options/check.js';
import { checkModule } from '../model/module-names.js';
import { checkSize } from '../options.js';

export interface NodesOptions {
  /** Module of the model; see `pipeline.info.modules`. */
  readonly module: ModuleName;
  /** Image width in pixels; default the model's. */
  readonly width?: number;
  /** Image height in pixels; default the model's. */
  readonly height?: number;
  /** Images times guidance branches, 1 to 128; default 1. */
  readonly batch?: number;
  /** Chunks of the prompt, 1 to 1000; default 1. */
  readonly chunks?: number;
}

/** Lists the nodes of a module with their shapes. @throws INVALID_OPTION, and errors of loading the module */
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
