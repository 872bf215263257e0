/**
 * The moving average of the weights (EMA), which training keeps beside them and which draws better pictures. Latent diffusion's
 * `LitEma` stores it as `model_ema.NAME` with the dots of NAME removed, where NAME is a parameter of `model` (a diffusion model) or of the
 * whole (an autoencoder).
 */
import { SafelightError } from '../../errors.js';
import { shown, type TensorIndex, type TensorInfo } from './tensor-index.js';

const AVERAGES = 'model_ema.';
/** LitEma's own numbers. */
const STATE: ReadonlySet<string> = new Set(['decay', 'num_updates']);

/**
 * The index with averages in the place of the weights they are of; whatever has none stays as it is.
 * @throws MISSING_TENSOR if the file has none, INVALID_FILE if one could be of several weights
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
      `${path} has no moving average of its weights (${AVERAGES}*); leave the ema option out, or take the checkpoint that has one`,
    );
  }
  const prefixes = prefixesOf(tensors);
  const taken = new Map<TensorInfo, string>();
  const result = new Map<string, TensorInfo>();
  for (const [name, tensor] of tensors) {
    const average = averageOf(name, prefixes, averages);
    if (average === undefined || average === tensor) continue;
    const before = taken.get(average);
    if (before !== undefined || !sameShape(average, tensor)) {
      throw new SafelightError(
        'INVALID_FILE',
        `${path} has the average ${JSON.stringify(average.name)} ${shown(average.shape)}, which does not belong to ${JSON.stringify(name)} ` +
          `${shown(tensor.shape)}${before === undefined ? '' : ` alone but to ${JSON.stringify(before)} too`}; leave the ema option out`,
      );
    }
    taken.set(average, name);
    result.set(name, { ...average, name });
  }
  // In the order of the file, without the averages that now have their weights' names.
  return new Map(
    [...tensors].flatMap(([name, tensor]): [string, TensorInfo][] =>
      taken.has(tensor) ? [] : [[name, result.get(name) ?? tensor]],
    ),
  );
}

/** What stands before `model_ema.`: nothing, in all files that are known, or a component's prefix. */
function prefixesOf(tensors: TensorIndex): string[] {
  const found = new Set<string>();
  for (const name of tensors.keys()) {
    const at = name.startsWith(AVERAGES) ? 0 : name.indexOf(`.${AVERAGES}`) + 1;
    if (at > 0 || name.startsWith(AVERAGES)) found.add(name.slice(0, at));
  }
  return [...found];
}

function averageOf(
  name: string,
  prefixes: readonly string[],
  averages: ReadonlyMap<string, TensorInfo>,
): TensorInfo | undefined {
  for (const prefix of prefixes) {
    if (!name.startsWith(prefix)) continue;
    const own = name.slice(prefix.length);
    // The averaged module was `model` itself, or all there is.
    for (const parameter of own.startsWith('model.') ? [own.slice('model.'.length), own] : [own]) {
      const found = averages.get(prefix + parameter.replaceAll('.', ''));
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function sameShape(a: TensorInfo, b: TensorInfo): boolean {
  return a.shape.length === b.shape.length && a.shape.every((side, i) => side === b.shape[i]);
}
