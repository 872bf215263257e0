/**
 * The moving average of the weights (EMA), which training keeps in addition to them and which generates better images.
 * Latent diffusion's `LitEma` stores it as `model_ema.NAME` with the dots of NAME removed, where NAME is a parameter of
 * `model` (in a diffusion model) or of the root module (in an autoencoder).
 */
import { SafelightError } from '../../errors.js';
import { formatShape, type TensorIndex, type TensorInfo } from './tensor-index.js';

const AVERAGES = 'model_ema.';
/** LitEma's own state. */
const STATE: ReadonlySet<string> = new Set(['decay', 'num_updates']);

/**
 * Replaces weights by their averages; weights without an average stay.
 * @throws MISSING_TENSOR if the file has no averages, INVALID_FILE if an average matches several weights
 */
export function withAverages(tensors: TensorIndex, path: string): TensorIndex {
  const averages = new Map<string, TensorInfo>();
  for (const [name, tensor] of tensors) {
    const [, prefix, dotless] = /^(|.*\.)model_ema\.([^.]+)$/.exec(name) ?? [];
    if (prefix !== undefined && dotless !== undefined && !STATE.has(dotless))
      averages.set(prefix + dotless, tensor);
  }
  if (averages.size === 0) {
    throw new SafelightError(
      'MISSING_TENSOR',
      `${path} has no moving average of its weights (${AVERAGES}*); leave out the ema option, or use a checkpoint that contains one`,
    );
  }
  const prefixes = prefixesOf(tensors);
  const assigned = new Map<TensorInfo, string>();
  const result = new Map<string, TensorInfo>();
  for (const [name, tensor] of tensors) {
    const average = averageOf(name, prefixes, averages);
    if (average === undefined || average === tensor) continue;
    const before = assigned.get(average);
    if (before !== undefined || !sameShape(average, tensor)) {
      throw new SafelightError(
        'INVALID_FILE',
        `${path} has the average ${JSON.stringify(average.name)} ${formatShape(average.shape)}, which does not belong to ${JSON.stringify(name)} ` +
          `${formatShape(tensor.shape)}${before === undefined ? '' : ` only but also to ${JSON.stringify(before)}`}; leave out the ema option`,
      );
    }
    assigned.set(average, name);
    result.set(name, { ...average, name });
  }
  // In the file's order, without the separate averages.
  return new Map(
    [...tensors].flatMap(([name, tensor]): [string, TensorInfo][] =>
      assigned.has(tensor) ? [] : [[name, result.get(name) ?? tensor]],
    ),
  );
}

/** Returns the prefixes of `model_ema.`: empty in all known files, or the prefix of a component. */
function prefixesOf(tensors: TensorIndex): string[] {
  const prefixes = new Set<string>();
  for (const name of tensors.keys()) {
    const at = name.startsWith(AVERAGES) ? 0 : name.indexOf(`.${AVERAGES}`) + 1;
    if (at > 0 || name.startsWith(AVERAGES)) prefixes.add(name.slice(0, at));
  }
  return [...prefixes];
}

function averageOf(
  name: string,
  prefixes: readonly string[],
  averages: ReadonlyMap<string, TensorInfo>,
): TensorInfo | undefined {
  for (const prefix of prefixes) {
    if (!name.startsWith(prefix)) continue;
    const suffix = name.slice(prefix.length);
    // The averaged module is `model`, or the root module.
    for (const parameter of suffix.startsWith('model.')
      ? [suffix.slice('model.'.length), suffix]
      : [suffix]) {
      const average = averages.get(prefix + parameter.replaceAll('.', ''));
      if (average !== undefined) return average;
    }
  }
  return undefined;
}

function sameShape(a: TensorInfo, b: TensorInfo): boolean {
  return a.shape.length === b.shape.length && a.shape.every((side, i) => side === b.shape[i]);
}
