/** test/fixtures/codes/codes.json (written by test/reference/codes.py) and its loaded models. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { LatentTransformerConfig, OrderName } from '../../../lib/checkpoint/config/types.js';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import { tamingTransformerNaming } from '../../../lib/checkpoint/naming/taming-transformer.js';
import { ComponentWeights } from '../../../lib/checkpoint/weights/component.js';
import { LatentTransformer } from '../../../lib/modules/latent-transformer.js';
import type { ChoiceOptions } from '../../../lib/sampling/autoregressive/choose.js';

interface CodesFixture {
  draws: { options: ChoiceOptions; logits: number[]; probabilities: number[]; codes: number[] }[];
  generators: { seed: number; exponential: number[]; integers: number[]; large: number[]; then: number[] }[];
  sequences: {
    model: string;
    condition: number[];
    total: number;
    seed: number;
    start: number[];
    options: ChoiceOptions;
    order: OrderName | null;
    codes: number[];
  }[];
  orders: { name: OrderName; height: number; width: number; order: number[] | null }[];
  likelihoods: {
    model: string;
    condition: number[];
    height: number;
    width: number;
    codes: number[];
    nats: number[];
    loss: number;
  }[];
  coordinates: { height: number; width: number; factor: number; codes: number; indices: number[] }[];
  slides: {
    height: number;
    width: number;
    side: number;
    grid: boolean;
    seed: number;
    options: ChoiceOptions;
    condition: number[];
    start: number[];
    codes: number[];
  }[];
}

const path = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));

export const fixture = JSON.parse(readFileSync(path('codes/codes.json'), 'utf8')) as CodesFixture;

export async function loadTransformer(name: string, options = {}): Promise<LatentTransformer> {
  const { config } = JSON.parse(readFileSync(path(`models/${name}.json`), 'utf8')) as {
    config: LatentTransformerConfig;
  };
  return LatentTransformer.load(
    { config, weights: await weightsOf(name) },
    { backend: 'cpu', threads: 1, ...options },
  );
}

export async function weightsOf(name: string): Promise<ComponentWeights> {
  const { tensors } = await openWeights(path(`models/${name}.safetensors`));
  return new ComponentWeights('transformer', name, tensors, tamingTransformerNaming('weights/'));
}

/** Returns all values that an async generator yields, and its return value. */
export async function all<T, R>(generator: AsyncGenerator<T, R>): Promise<{ steps: T[]; result: R }> {
  const steps: T[] = [];
  for (;;) {
    const { done, value } = await generator.next();
    if (done) return { steps, result: value };
    steps.push(value);
  }
}
