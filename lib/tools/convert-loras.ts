/** Merging of LoRAs into the weights of a conversion: patches of the entries that are written. */
import { resolve } from 'node:path';
import { readLora } from '../adapters/lora-file.js';
import type { LoraSettings } from '../adapters/lora-options.js';
import { LoraMatcher, patchesOf } from '../adapters/matched-loras.js';
import type { AdaptedModule } from '../adapters/model-layers.js';
import { requirements } from '../binding/module.js';
import type { WriteRequest } from '../binding/types.js';
import { verifyTensors } from '../checkpoint/formats/verify.js';
import { SafelightError } from '../errors.js';
import { trainedFor } from '../families/shared/unet/lora-family.js';
import { planPatches } from '../modules/patch-plan.js';
import { tensorsOf, type WeightPatch } from '../modules/weight-patch.js';
import type { Warnings } from '../warnings.js';
import { entryName, type PlannedPart } from './convert-plan.js';
import type { ConvertSource } from './convert-source.js';

/** Changes to the entries of a conversion. */
export type Merge = Pick<WriteRequest, 'patches' | 'transposed'>;

/**
 * Plans the changes that LoRAs make to the written weights.
 * @param name of the model, for messages
 * @param planned parts of the source, in its order
 * @throws ADAPTER_NOT_FOUND, ADAPTER_MISMATCH, UNSUPPORTED_ADAPTER, INVALID_FILE, ABORTED
 */
export async function planMerge(
  { parts, architecture }: ConvertSource,
  name: string,
  planned: readonly PlannedPart[],
  loras: readonly LoraSettings[],
  warnings: Warnings,
  signal: AbortSignal | undefined,
): Promise<Merge> {
  if (loras.length === 0) return {};
  const modules = parts.flatMap(({ adapted, kind, config }): AdaptedModule[] =>
    adapted ? [{ ...adapted, requirements: requirements(kind, config) }] : [],
  );
  if (modules.length === 0) {
    throw new SafelightError(
      'ADAPTER_MISMATCH',
      `${name} is a component of kind ${architecture}, which LoRAs do not change; remove loras`,
    );
  }
  const textWidth = modules.find(({ unet }) => unet)?.unet?.cross_attention_dim ?? 0;
  const matcher = new LoraMatcher({ name, family: architecture, textWidth, familyOf: trainedFor }, modules);
  const patches = await patchesOfAll(matcher, modules, loras, warnings);
  await verifyTensors(tensorsOf(patches), signal);
  return changesOf(patches, planned);
}

async function patchesOfAll(
  matcher: LoraMatcher,
  modules: readonly AdaptedModule[],
  loras: readonly LoraSettings[],
  warnings: Warnings,
): Promise<WeightPatch[]> {
  const patches: WeightPatch[] = [];
  for (const lora of loras) {
    const matched = matcher.match(lora, await readLora(resolve(lora.path)), warnings);
    for (const { component } of modules) {
      const own = patchesOf(component, matched);
      patches.push(...own.map((patch) => ({ ...patch, target: entryName(component, patch.target) })));
    }
  }
  return patches;
}

function changesOf(patches: readonly WeightPatch[], planned: readonly PlannedPart[]): Merge {
  if (patches.length === 0) return {};
  const targets = new Set(patches.map(({ target }) => target));
  const changed = planned.flatMap(({ component, tensors }) =>
    tensors.flatMap(({ entries, turned }) =>
      entries
        .map(({ name, shape }) => ({ name: entryName(component, name), shape, turned }))
        .filter(({ name }) => targets.has(name)),
    ),
  );
  // As for weights in memory, which are rewritten whatever the form of the change.
  const parameters = new Map(changed.map(({ name, shape }) => [name, { shape, storage: 'f32' as const }]));
  return {
    patches: planPatches(patches, { parameters, mapped: false }),
    transposed: changed.filter(({ turned }) => turned).map(({ name }) => name),
  };
}
