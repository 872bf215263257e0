/** Texts of `safelight inspect` about adapters. */
import type { Inspection } from '../tools/inspect.js';
import type { InspectedEmbedding } from '../tools/inspect-embedding.js';
import type { InspectedLora } from '../tools/inspect-lora.js';
import { table } from './output.js';

const KINDS: Readonly<Record<InspectedLora['kind'], string>> = {
  lora: 'LoRA',
  locon: 'LoRA with convolutions (LoCon)',
  loha: 'LoHa',
  lokr: 'LoKr',
  dora: 'DoRA',
  ia3: 'IA3',
  oft: 'OFT',
  boft: 'BOFT',
  full: 'differences of weights',
  mixed: 'several forms of LoRA',
};
const MOST_NAMES = 5;

/** Describes a LoRA. @param family display name of its family, if it is recognized */
export function loraReport(lora: InspectedLora, family: string | null): string {
  const { path, kind, name, hash, rank, alpha, baseModel, triggerWords, embeddings, tensors } = lora;
  const sizes = [
    ...(rank === null ? [] : [`rank ${list(rank)}`]),
    ...(alpha === null ? [] : [`alpha ${list(alpha)}`]),
    `${tensors} tensors`,
  ];
  const lines = [
    path,
    `${KINDS[kind]} for ${family ?? 'an unknown family'}, ${sizes.join(', ')}`,
    `Hash: ${hash}`,
    ...(name === null ? [] : [`Name: ${name}`]),
    ...(baseModel === null ? [] : [`Trained on: ${baseModel}`]),
    ...(triggerWords.length === 0 ? [] : [`Trigger words: ${triggerWords.join(', ')}`]),
    ...(embeddings.length === 0 ? [] : [`Embeddings: ${embeddings.join(', ')}`]),
  ];
  return `${lines.join('\n')}\n\n${targets(lora)}`;
}

/** Describes an embedding. @param family display name of its family, if it is recognized */
export function embeddingReport(embedding: InspectedEmbedding, family: string | null): string {
  const { path, name, hash, vectors, widths, steps, baseModel } = embedding;
  const count = `${vectors} ${vectors === 1 ? 'vector' : 'vectors'} of ${widths.join(' and ')} numbers`;
  return [
    path,
    `Embedding for ${family ?? 'an unknown family'}, ${count}`,
    `Hash: ${hash}`,
    `Name: ${name}`,
    ...(steps === null ? [] : [`Trained for ${steps} steps`]),
    ...(baseModel === null ? [] : [`Trained on: ${baseModel}`]),
  ].join('\n');
}

/** Describes the match of a LoRA with a model; empty without one. */
export function matchReport({ matched, unmatched = [], loraProblem }: Inspection): string {
  if (matched === undefined) return '';
  const lines = [`${matched} of ${matched + unmatched.length} tensors of the LoRA match the model`];
  if (unmatched.length > 0) {
    const more = unmatched.length > MOST_NAMES ? `, and ${unmatched.length - MOST_NAMES} more (--json)` : '';
    lines.push(`Not matched: ${unmatched.slice(0, MOST_NAMES).join(', ')}${more}`);
  }
  if (loraProblem) lines.push(`Cannot be applied: ${loraProblem}`);
  return lines.join('\n');
}

function targets({ targets }: InspectedLora): string {
  const components = new Map<string, string[]>();
  for (const target of targets) {
    const [component = '', layer = ''] = target.split(':');
    components.set(component, [...(components.get(component) ?? []), layer]);
  }
  const rows = [...components].map(([component, layers]) => [component, layers.join(', ')]);
  return table(['component', 'changed layers'], rows);
}

function list(value: number | readonly number[]): string {
  return typeof value === 'number' ? `${value}` : value.join(', ');
}
