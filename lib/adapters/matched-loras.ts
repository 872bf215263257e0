/** LoRAs matched with the layers of one model, and the patches that several of them make together. */
import type { WeightPatch } from '../modules/weight-patch.js';
import type { Warnings } from '../warnings.js';
import { ModelBlocks } from './lora-blocks.js';
import type { LoraFile } from './lora-file.js';
import type { LoraSettings } from './lora-options.js';
import { type AdaptedModel, type MatchedLora, matchLora } from './lora-patches.js';
import { type AdaptedComponent, type AdaptedModule, type ModelLayers, modelLayers } from './model-layers.js';

/** A LoRA with the weights at which it is applied. */
export interface WeightedLora extends MatchedLora {
  readonly file: LoraFile;
  readonly lora: LoraSettings;
  /** Returns the factor of the change of a parameter. */
  readonly blockWeight: (component: AdaptedComponent, parameter: string) => number;
}

const NAMES_IN_WARNING = 3;

/** Matches files with one model. */
export class LoraMatcher {
  private readonly layers: ModelLayers;
  private blocks: ModelBlocks | undefined;

  constructor(
    private readonly model: AdaptedModel,
    private readonly modules: readonly AdaptedModule[],
  ) {
    this.layers = modelLayers(modules);
  }

  /** Adds a warning for tensors that match nothing. @throws ADAPTER_MISMATCH, INVALID_FILE, UNSUPPORTED_ADAPTER */
  match(lora: LoraSettings, file: LoraFile, warnings: Warnings): WeightedLora {
    const { ranks, blocks } = lora;
    const { name, family } = this.model;
    const matched = matchLora({ ...file, ranks }, this.layers, this.model);
    const { length } = matched.ignored;
    if (length > 0) {
      const first = matched.ignored.slice(0, NAMES_IN_WARNING).join(', ');
      warnings.add(
        'ADAPTER_KEYS_IGNORED',
        `${length} tensors of ${file.path} match no weight of ${name} (${family}) and are ignored: ${first}${length > NAMES_IN_WARNING ? ' ...' : ''}`,
      );
    }
    if (!blocks) return { ...matched, file, lora, blockWeight: () => 1 };
    this.blocks ??= new ModelBlocks(this.modules);
    return { ...matched, file, lora, blockWeight: this.blocks.weights(blocks, file.path) };
  }
}

/** Returns the patches of a LoRA for one module, at its weight; none for a weight of 0. */
export function patchesOf(component: AdaptedComponent, matched: WeightedLora): WeightPatch[] {
  const { lora, patches, blockWeight } = matched;
  const weight = component === 'unet' ? lora.weight : lora.textEncoderWeight;
  return patches[component].flatMap((patch) => {
    const scale = patch.scale * weight * blockWeight(component, patch.target);
    return scale === 0 ? [] : [{ ...patch, scale }];
  });
}
