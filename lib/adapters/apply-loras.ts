/** Reads the LoRAs of calls, matches them with a model's weights, and registers them with its modules. */
import { createHash } from 'node:crypto';
import { shownBytes } from '../modules/memory-fit.js';
import type { WeightPatch } from '../modules/weight-patch.js';
import type { Warnings } from '../warnings.js';
import { LoraCache, type ReadLora } from './lora-cache.js';
import type { LoraFile } from './lora-file.js';
import type { LoraSettings } from './lora-options.js';
import type { AdaptedModel } from './lora-patches.js';
import { LoraMatcher, patchesOf, type WeightedLora } from './matched-loras.js';
import type { AdaptedComponent, AdaptedModule } from './model-layers.js';
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

const TEXT: readonly AdaptedComponent[] = ['text_encoder', 'text_encoder_2'];

export class LoraApplier {
  private readonly files = new LoraCache();
  private readonly sets = new Map<Patchable, PatchSets>();
  private matcher: LoraMatcher | undefined;

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
      const needed: { readonly sets: PatchSets; readonly id: string; readonly patches: WeightPatch[] }[] = [];
      for (const component of ['unet', ...TEXT] as const) {
        const set = setOf(component, active);
        if (set.patches.length === 0) continue;
        needed.push({ sets: this.setsOf(await this.model.load(component, signal)), ...set });
        ids.set(component, set.id);
      }
      if (!this.keepsLast) stateMemory(needed, warnings);
      for (const { sets, id, patches } of needed) releases.push(await sets.acquire(id, patches, signal));
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
    this.matcher ??= new LoraMatcher(this.model, this.model.modules());
    return { ...this.matcher.match(lora, file, warnings), identity };
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

/** States the memory that the LoRAs of a call take in a mode that otherwise needs little. */
function stateMemory(
  needed: readonly { readonly sets: PatchSets; readonly patches: readonly WeightPatch[] }[],
  warnings: Warnings,
): void {
  const bytes = needed.reduce((sum, { sets, patches }) => sum + sets.bytes(patches), 0);
  if (bytes > 0)
    warnings.add(
      'ADAPTER_MEMORY',
      `The LoRAs take ${shownBytes(bytes)} of private memory until the call ends, in addition to what memory 'lean' needs`,
    );
}

/** A LoRA matched with the model, and its content as `LoraCache` identifies it. */
interface ActiveLora extends WeightedLora {
  readonly identity: string;
}

/** Returns the patches of all LoRAs for one module, with an id of this combination. */
function setOf(component: AdaptedComponent, loras: readonly ActiveLora[]) {
  const all = loras.flatMap((active) => {
    const { lora, identity } = active;
    const { ranks = null, blocks = null } = lora;
    const weight = component === 'unet' ? lora.weight : lora.textEncoderWeight;
    const patches = patchesOf(component, active);
    return patches.length === 0 ? [] : [{ key: [identity, weight, ranks, blocks], patches }];
  });
  const digest = createHash('sha256').update(JSON.stringify(all.map(({ key }) => key)));
  return {
    id: `loras ${digest.digest('hex').slice(0, 32)}`,
    patches: all.flatMap(({ patches }) => patches),
  };
}
