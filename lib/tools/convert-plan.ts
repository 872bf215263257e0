/**
 * Planning of the tensors of a converted file: CompVis' names for the source's parameters, and the sources of their
 * bytes.
 */

import type { AdaptedComponent, AdaptedModule } from '../adapters/model-layers.js';
import { requirements } from '../binding/module.js';
import type {
  ModuleKind,
  NativeConfig,
  StorageType,
  WeightPlan,
  WeightPlanEntry,
  WeightRequirement,
} from '../binding/types.js';
import type { Naming } from '../checkpoint/naming/naming.js';
import type { LdmNaming } from '../checkpoint/naming/to-ldm.js';
import type { ComponentWeights } from '../checkpoint/weights/component.js';
import { SafelightError } from '../errors.js';
import type { TypeChoice } from './convert-types.js';

/** A module to write. */
export interface ConvertPart {
  readonly kind: ModuleKind;
  readonly config: NativeConfig;
  readonly weights: ComponentWeights;
  readonly ldm: LdmNaming;
  /** Naming by which readers interpret the written names, for verification. */
  readonly reading: (names: readonly string[]) => Naming;
  /** The module as LoRAs address it; null if they do not change it. */
  readonly adapted: Omit<AdaptedModule, 'requirements'> | null;
}

export interface OutputTensor {
  readonly name: string;
  readonly type: StorageType;
  /** Shape in PyTorch's order. */
  readonly shape: readonly number[];
  /** Parameters whose rows form the tensor, in order. */
  readonly entries: readonly WeightPlanEntry[];
  /** True if the file holds the transposed parameter. */
  readonly turned: boolean;
}

/** The tensors of a part, and the files that they are read from. */
export interface PlannedPart {
  readonly component: AdaptedComponent | null;
  readonly files: WeightPlan['files'];
  readonly tensors: readonly OutputTensor[];
}

interface Planned {
  readonly requirement: WeightRequirement;
  readonly entry: WeightPlanEntry;
}

/** Plans the tensors of a part. */
export function planPart(part: ConvertPart, choice: TypeChoice): PlannedPart {
  const needed = requirements(part.kind, part.config);
  const { files, entries } = part.weights.plan(needed);
  const groups = new Map<string, Planned[]>();
  needed.forEach((requirement, i) => {
    const name = part.ldm.name(requirement.name);
    const group = groups.get(name) ?? [];
    groups.set(name, [...group, { requirement, entry: entries[i]! }]);
  });
  checkNames(part, groups);
  return {
    component: part.adapted?.component ?? null,
    files,
    tensors: [...groups].map(([name, group]) => outputTensor(name, group, part.ldm, choice)),
  };
}

function outputTensor(
  name: string,
  group: readonly Planned[],
  ldm: LdmNaming,
  choice: TypeChoice,
): OutputTensor {
  const [first] = group;
  const { requirement } = first!;
  const turned = ldm.transposed(requirement.name);
  const rows = group.reduce((sum, planned) => sum + (planned.requirement.shape[0] ?? 1), 0);
  const shape = shapeOf([rows, ...requirement.shape.slice(1)], turned, ldm.convolution(requirement.name));
  const type = choice.of({ name, role: requirement.role, shape, turned });
  return {
    name,
    type,
    shape,
    turned,
    entries: group.map(({ entry }) => ({ ...(turned ? transposed(entry, shape) : entry), storage: type })),
  };
}

function shapeOf(shape: readonly number[], turned: boolean, convolution: boolean): readonly number[] {
  if (turned) return [...shape].reverse();
  return convolution && shape.length === 2 ? [...shape, 1, 1] : shape;
}

/** Transposes an entry when it is written; one that the source stores transposed is written unchanged. */
export function transposed(entry: WeightPlanEntry, shape: readonly number[]): WeightPlanEntry {
  const { transform, ...rest } = entry;
  return transform?.op === 'transpose'
    ? { ...rest, shape }
    : { ...rest, shape, transform: { op: 'transpose' } };
}

/**
 * Checks that readers map every written name back to its parameters, because the file could not be loaded otherwise.
 */
function checkNames({ weights, reading }: ConvertPart, groups: ReadonlyMap<string, Planned[]>): void {
  const naming = reading([...groups.keys()]);
  for (const [name, group] of groups) {
    const rows = group.reduce((sum, { requirement }) => sum + (requirement.shape[0] ?? 1), 0);
    const back = naming.canonical(name, [rows]).map((part) => part.name);
    if (back.join() !== group.map(({ requirement }) => requirement.name).join()) {
      throw new SafelightError(
        'UNSUPPORTED_MODEL',
        `${weights.where} has "${group[0]?.requirement.name}", for which CompVis' form has no name; the model cannot be converted`,
      );
    }
  }
}

/** Returns the name of a parameter that is unique in the file: two text encoders have the same names. */
export function entryName(component: AdaptedComponent | null, parameter: string): string {
  return component === null ? parameter : `${component} ${parameter}`;
}

/** Joins the plans of all parts and returns the offset of each entry in the file. */
export function joinPlans(
  parts: readonly PlannedPart[],
  offsets: readonly number[],
  bytesOf: (entry: WeightPlanEntry) => number,
): { plan: WeightPlan; offsets: number[] } {
  const files = [...new Set(parts.flatMap((part) => part.files))];
  const entries: WeightPlanEntry[] = [];
  const entryOffsets: number[] = [];
  let index = 0;
  for (const part of parts) {
    for (const tensor of part.tensors) {
      let offset = offsets[index++]!;
      for (const entry of tensor.entries) {
        const file = files.indexOf(part.files[entry.source.file]!);
        const name = entryName(part.component, entry.name);
        entries.push({ ...entry, name, source: { ...entry.source, file } });
        entryOffsets.push(offset);
        offset += bytesOf(entry);
      }
    }
  }
  return { plan: { files, entries }, offsets: entryOffsets };
}
