/**
 * Order of queued jobs, as floating-point numbers: a job can be moved between two others without renumbering
 * them.
 */

/** Returns the greatest order of the ascending `orders`; 0 if there are none. */
export function latestOrder(orders: ReadonlyMap<string, number>): number {
  return [...orders.values()].at(-1) ?? 0;
}

/**
 * Returns the orders to set so that the job moves to `place` among the queued jobs, 0 being the next to run:
 * usually only the job's, or those of all jobs if no number is left between its neighbors.
 * @param orders orders of all queued jobs by id, ascending
 * @returns an empty map if the job is not queued or is the only queued job
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
  const order = between(before, after);
  if (order > before && order < after) return new Map([[id, order]]);
  const ids = others.map(([other]) => other);
  const first = others[0]![1];
  return new Map([...ids.slice(0, at), id, ...ids.slice(at)].map((queued, i) => [queued, first + i]));
}

function between(before: number, after: number): number {
  if (before === Number.NEGATIVE_INFINITY) return after - 1;
  return after === Number.POSITIVE_INFINITY ? before + 1 : (before + after) / 2;
}
