/** Reads the LoRAs of calls, matches them with a model's weights, and registers them with its modules. */
import { createHash } from 'node:crypto';
import type { Warnings } from '../warnings.js';
import { ModelBlocks } from './lora-blocks.js';
import { LoraCache, type ReadLora } from './lora-cache.js';
import type { LoraFile } from './lora-file.js';
import type { LoraSettings } from './lora-options.js';
import { type AdaptedModel, type MatchedLora, matchLora } from './lora-patches.js';
import { type AdaptedComponent, type AdaptedModule, type ModelLayers, modelLayers } from './model-layers.js';
import { type Patchable, PatchSets } from './patch-sets.js';

/** The model of a pipeline, as far as LoRAs need it. */
export interface LoraTarget extends AdaptedModel {
  /** Returns its U-Net and its text encoders. */
  modules(): readonly AdaptedModule[];
  /** Returns the loaded module. */
  load(component: AdaptedComponent, signal: AbortSignal | undefined): Promise<Patchable>;
}

/** Names of the patch sets of one call, to be disposed of when it ends. */
export interface AppliedLoras extends Disposable {
  readonly unet: string | undefined;
  /** One for each text encoder. */
  readonly text: readonly (string | undefined)[];
  /** Files of the LoRAs, in their order. */
  readonly files: readonly LoraFile[];
}

/** The result for a call without LoRAs. */
export const noLoras: AppliedLoras = {
  ...{ unet: undefined, text: [], files: [] },
  [Symbol.dispose]: () => undefined,
};

const NAMES_IN_WARNING = 3;
const TEXT: readonly AdaptedComponent[] = ['text_encoder', 'text_encoder_2'];

export class LoraApplier {
  private readonly files = new LoraCache();
  private readonly sets = new Map<Patchable, PatchSets>();
  private layers: ModelLayers | undefined;
  private blocks: ModelBlocks | undefined;

  /** @param keepsLast true to keep the factors of the last call in memory for the next one */
  constructor(
    private readonly model: LoraTarget,
    private readonly keepsLast: boolean,
  ) {}

  /**
   * @throws ADAPTER_NOT_FOUND, ADAPTER_MISMATCH, UNSUPPORTED_ADAPTER, INVALID_FILE, OUT_OF_MEMORY, ABORTED, errors of
   *   loading a module
   */
  async apply(
    loras: readonly LoraSettings[],
    warnings: Warnings,
    signal: AbortSignal | undefined,
  ): Promise<AppliedLoras> {
    this.forgetDisposed();
    const active = await Promise.all(
      loras.map(async (lora) => this.active(lora, await this.files.get(lora.path), warnings)),
    );
    const releases: (() => void)[] = [];
    const dispose = () => {
      for (const release of releases) release();
    };
    try {
      const ids = new Map<AdaptedComponent, string>();
      for (const component of ['unet', ...TEXT] as const) {
        const set = setOf(component, active);
        if (set.patches.length === 0) continue;
        const sets = this.setsOf(await this.model.load(component, signal));
        releases.push(await sets.acquire(set.id, set.patches, signal));
        ids.set(component, set.id);
      }
      for (const sets of this.sets.values()) sets.dropIdle();
      return {
        unet: ids.get('unet'),
        text: TEXT.map((component) => ids.get(component)),
        files: active.map(({ file }) => file),
        [Symbol.dispose]: dispose,
      };
    } catch (error) {
      dispose();
      throw error;
    }
  }

  private active(lora: LoraSettings, { file, identity }: ReadLora, warnings: Warnings): ActiveLora {
    this.layers ??= modelLayers(this.model.modules());
    const { ranks, blocks } = lora;
    const matched = matchLora({ ...file, ranks }, this.layers, this.model);
    const { length } = matched.ignored;
    if (length > 0) {
      const first = matched.ignored.slice(0, NAMES_IN_WARNING).join(', ');
      warnings.add(
        'ADAPTER_KEYS_IGNORED',
        `${length} tensors of ${file.path} match no weight of ${this.model.name} (${this.model.family}) and are ignored: ${first}${length > NAMES_IN_WARNING ? ' ...' : ''}`,
      );
    }
    if (!blocks) return { ...matched, file, lora, identity, blockWeight: () => 1 };
    this.blocks ??= new ModelBlocks(this.model.modules());
    return { ...matched, file, lora, identity, blockWeight: this.blocks.weights(blocks, file.path) };
  }

  private setsOf(module: Patchable): PatchSets {
    const sets = this.sets.get(module) ?? new PatchSets(module, this.keepsLast);
    this.sets.set(module, sets);
    return sets;
  }

  private forgetDisposed(): void {
    for (const module of this.sets.keys()) if (module.disposed) this.sets.delete(module);
  }
}

/** A LoRA matched with the model. */
interface ActiveLora extends MatchedLora {
  readonly file: LoraFile;
  readonly lora: LoraSettings;
  readonly identity: string;
  /** Returns the factor of the change of a parameter. */
  readonly blockWeight: (component: AdaptedComponent, parameter: string) => number;
}

/** Returns the patches of all LoRAs for one module, with an id of this combination. */
function setOf(component: AdaptedComponent, loras: readonly ActiveLora[]) {
  const all = loras.flatMap(({ lora, identity, patches, blockWeight }) => {
    const { ranks = null, blocks = null } = lora;
    const weight = component === 'unet' ? lora.weight : lora.textEncoderWeight;
    const scaled = patches[component].flatMap((patch) => {
      const scale = patch.scale * weight * blockWeight(component, patch.target);
      return scale === 0 ? [] : [{ ...patch, scale }];
    });
    return scaled.length === 0 ? [] : [{ key: [identity, weight, ranks, blocks], patches: scaled }];
  });
  const digest = createHash('sha256').update(JSON.stringify(all.map(({ key }) => key)));
  return {
    id: `loras ${digest.digest('hex').slice(0, 32)}`,
    patches: all.flatMap(({ patches }) => patches),
  };
}
