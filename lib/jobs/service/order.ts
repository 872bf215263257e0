/** Orders of queued jobs: numbers, so that a job is moved between two others without a change to either. */

/** The greatest of the orders, which are ascending; 0 where there is none. */
export function latestOrder(orders: ReadonlyMap<string, number>): number {
  return [...orders.values()].at(-1) ?? 0;
}

/**
 * Orders to set so that the job comes to `place` among the queued ones, 0 being next: its own, or those of all where there is no number left
 * between its neighbors.
 * @param orders of all queued jobs, ascending
 * @returns nothing where the job does not wait, or waits alone
 */
export function ordersToMove(
  orders: ReadonlyMap<string, number>,
  id: string,
  place: number,
): ReadonlyMap<string, number> {
  const others = [...orders].filter(([other]) => other !== id);
  if (!orders.has(id) || others.length === 0) return new Map();
  const at = Math.max(0, Math.min(place, others.length));
  const before = others[at - 1]?.[1] ?? Number.NEGATIVE_INFINITY;
  const after = others[at]?.[1] ?? Number.POSITIVE_INFINITY;
  const own = between(before, after);
  if (own > before && own < after) return new Map([[id, own]]);
  const ids = others.map(([other]) => other);
  const first = others[0]![1];
  return new Map([...ids.slice(0, at), id, ...ids.slice(at)].map((each, i) => [each, first + i]));
}

function between(before: number, after: number): number {
  if (before === Number.NEGATIVE_INFINITY) return after - 1;
  return after === Number.POSITIVE_INFINITY ? before + 1 : (before + after) / 2;
}
