/** Which tensors a converted file has: CompVis' names for whatever the source calls them, and where their bytes come from. */

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

/** A module to be written. */
export interface ConvertPart {
  readonly kind: ModuleKind;
  readonly config: NativeConfig;
  readonly weights: ComponentWeights;
  readonly ldm: LdmNaming;
  /** How the written names will be read, to make sure that they are understood. */
  readonly reading: (names: readonly string[]) => Naming;
}

export interface OutputTensor {
  readonly name: string;
  readonly type: StorageType;
  /** PyTorch's order. */
  readonly shape: readonly number[];
  /** Its rows from the first on, each a parameter. */
  readonly entries: readonly WeightPlanEntry[];
}

interface Planned {
  readonly requirement: WeightRequirement;
  readonly entry: WeightPlanEntry;
}

/** The tensors of a part, and the files they come from. */
export function planPart(
  part: ConvertPart,
  choice: TypeChoice,
): { files: WeightPlan['files']; tensors: OutputTensor[] } {
  const needed = requirements(part.kind, part.config);
  const { files, entries } = part.weights.plan(needed);
  const groups = new Map<string, Planned[]>();
  needed.forEach((requirement, i) => {
    const name = part.ldm.name(requirement.name);
    const group = groups.get(name) ?? [];
    groups.set(name, [...group, { requirement, entry: entries[i]! }]);
  });
  checkNames(part, groups);
  return { files, tensors: [...groups].map(([name, group]) => outputTensor(name, group, part.ldm, choice)) };
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
  const rows = group.reduce((sum, one) => sum + (one.requirement.shape[0] ?? 1), 0);
  const shape = shapeOf([rows, ...requirement.shape.slice(1)], turned, ldm.convolution(requirement.name));
  const type = choice.of({ name, role: requirement.role, shape, turned });
  return {
    name,
    type,
    shape,
    entries: group.map(({ entry }) => ({ ...(turned ? transposed(entry, shape) : entry), storage: type })),
  };
}

function shapeOf(shape: readonly number[], turned: boolean, convolution: boolean): readonly number[] {
  if (turned) return [...shape].reverse();
  return convolution && shape.length === 2 ? [...shape, 1, 1] : shape;
}

/** Turned on the way; what the source has turned already goes as it is. */
function transposed(entry: WeightPlanEntry, shape: readonly number[]): WeightPlanEntry {
  const { transform, ...rest } = entry;
  return transform?.op === 'transpose'
    ? { ...rest, shape }
    : { ...rest, shape, transform: { op: 'transpose' } };
}

/** Every written name must lead back to the parameters it was made of, or nobody could load the file. */
function checkNames({ weights, reading }: ConvertPart, groups: ReadonlyMap<string, Planned[]>): void {
  const naming = reading([...groups.keys()]);
  for (const [name, group] of groups) {
    const rows = group.reduce((sum, { requirement }) => sum + (requirement.shape[0] ?? 1), 0);
    const back = naming.canonical(name, [rows]).map((part) => part.name);
    if (back.join() !== group.map(({ requirement }) => requirement.name).join()) {
      throw new SafelightError(
        'UNSUPPORTED_MODEL',
        `${weights.where} has "${group[0]?.requirement.name}", for which CompVis' form has no name; keep the model as it is`,
      );
    }
  }
}

/** One plan for all parts: entries and where their bytes go. */
export function joinPlans(
  parts: readonly { files: WeightPlan['files']; tensors: readonly OutputTensor[] }[],
  offsets: readonly number[],
  bytesOf: (entry: WeightPlanEntry) => number,
): { plan: WeightPlan; offsets: number[] } {
  const files = [...new Set(parts.flatMap((part) => part.files))];
  const entries: WeightPlanEntry[] = [];
  const places: number[] = [];
  let index = 0;
  for (const part of parts) {
    for (const tensor of part.tensors) {
      let place = offsets[index++]!;
      for (const entry of tensor.entries) {
        const file = files.indexOf(part.files[entry.source.file]!);
        entries.push({ ...entry, source: { ...entry.source, file } });
        places.push(place);
        place += bytesOf(entry);
      }
    }
  }
  return { plan: { files, entries }, offsets: places };
}
