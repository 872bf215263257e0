/** Branches of a sampling pass: those of classifier-free guidance, or the positive ones with the scale as an input. */
import { Tensor } from '../tensor/tensor.js';
import { type Guidance, type GuidancePhase, type GuidanceSchedule, sumOfWeights } from './guidance.js';
import type { BranchSpec, Conditioning } from './network.js';

/** Branches of a pass with the selection that applies at each evaluation. */
export interface BranchPlan {
  /** Branches of all phases; equal ones are listed once. */
  readonly branches: readonly BranchSpec[];
  /** Indices of the branches of each phase. */
  readonly phases: readonly (readonly number[])[];
  /** Returns the indices of the branches at an evaluation, counted from 0. */
  at(evaluation: number): readonly number[];
}

/**
 * Plans the branches of a pass. Omits those without influence at any sigma: the base (negative) if the weights of the
 * positive branches sum to 1, the positive branches if the scale is 0.
 */
export function planBranches(schedule: GuidanceSchedule, guidance: Guidance): BranchPlan {
  const branches: BranchSpec[] = [];
  const indexOf = (branch: BranchSpec): number => {
    const known = branches.findIndex((other) => isSame(other, branch));
    return known < 0 ? branches.push(branch) - 1 : known;
  };
  const branchesOf = guidance.embedded
    ? embeddedBranches(guidance.scale)
    : (phase: GuidancePhase): BranchSpec[] => phaseBranches(phase, guidance);
  const phases = schedule.map((phase) => branchesOf(phase).map(indexOf));
  return {
    branches,
    phases,
    at: (evaluation) => {
      const phase = schedule.findIndex(({ until }) => evaluation <= until);
      return phases.at(phase)!;
    },
  };
}

function phaseBranches({ positives, negative }: GuidancePhase, guidance: Guidance): BranchSpec[] {
  const { scale, interval, perturbation = 0 } = guidance;
  const base: BranchSpec = { name: 'negative', conditioning: negative, weight: 1, base: true };
  if (scale === 0 && interval === undefined && perturbation === 0) return [base];
  const guided = positives.map(
    ({ conditioning, weight }, i): BranchSpec => ({
      name: positiveName(i),
      conditioning,
      weight: scaledBy(weight, scale),
    }),
  );
  const perturbed =
    perturbation === 0
      ? []
      : guided.map((branch) => ({ ...branch, name: `perturbed ${branch.name}`, perturbed: true }));
  return [...(sumOfWeights(guided) === 1 ? [] : [base]), ...guided, ...perturbed];
}

/** Returns the positive branches of a phase with the scale in their conditioning; their predictions are averaged. */
function embeddedBranches(scale: number): (phase: GuidancePhase) => BranchSpec[] {
  const guidance = Tensor.from(Float32Array.of(scale), [1]);
  // Phases that share a conditioning also share the one with the scale.
  const scaled = new Map<Conditioning, Conditioning>();
  const withScale = (conditioning: Conditioning): Conditioning => {
    const known = scaled.get(conditioning) ?? { tensors: { ...conditioning.tensors, guidance } };
    scaled.set(conditioning, known);
    return known;
  };
  return ({ positives }) =>
    positives.map(({ conditioning, weight }, i) => ({
      ...{ name: positiveName(i), conditioning: withScale(conditioning), weight },
    }));
}

function positiveName(index: number): string {
  return index === 0 ? 'positive' : `positive ${index + 1}`;
}

function scaledBy(weight: number | Tensor, scale: number): number | Tensor {
  return weight instanceof Tensor
    ? Tensor.from(
        weight.data.map((value) => value * scale),
        weight.shape,
      )
    : weight * scale;
}

function isSame(a: BranchSpec, b: BranchSpec): boolean {
  const { conditioning, weight, name } = a;
  return conditioning === b.conditioning && name === b.name && equalWeights(weight, b.weight);
}

function equalWeights(a: number | Tensor, b: number | Tensor): boolean {
  if (!(a instanceof Tensor && b instanceof Tensor)) return a === b;
  return a.size === b.size && a.data.every((value, i) => value === b.data[i]);
}
