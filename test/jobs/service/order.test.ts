import { describe, expect, it } from 'vitest';
import { latestOrder, ordersToMove } from '../../../lib/jobs/service/order.js';

const queue = new Map([
  ['a', 1],
  ['b', 2],
  ['c', 3],
]);
/** Ids of the queue in their order after a move. */
const moved = (orders: ReadonlyMap<string, number>, id: string, place: number) =>
  [...new Map([...orders, ...ordersToMove(orders, id, place)])]
    .sort((a, b) => a[1] - b[1])
    .map(([key]) => key);

describe('ordersToMove', () => {
  it.each([
    ['c', 0, ['c', 'a', 'b']],
    ['a', 1, ['b', 'a', 'c']],
    ['a', 2, ['b', 'c', 'a']],
    ['b', -5, ['b', 'a', 'c']],
    ['b', 99, ['a', 'c', 'b']],
  ])('moves job %s to place %i and changes no other job', (id, place, expected) => {
    expect(moved(queue, id, place)).toEqual(expected);
    expect([...ordersToMove(queue, id, place).keys()]).toEqual([id]);
  });

  it('renumbers all jobs if there is no number left between the neighbors', () => {
    const next = 1 + Number.EPSILON;
    const tight = new Map([
      ['a', 1],
      ['b', next],
      ['c', 5],
    ]);
    expect(ordersToMove(tight, 'c', 1).size).toBe(3);
    expect(moved(tight, 'c', 1)).toEqual(['a', 'c', 'b']);
  });

  it('changes nothing for a job that is not queued or is queued alone', () => {
    expect(ordersToMove(queue, 'x', 0).size).toBe(0);
    expect(ordersToMove(new Map([['a', 4]]), 'a', 0).size).toBe(0);
  });
});

describe('latestOrder', () => {
  it('returns the last order, and 0 for an empty queue', () => {
    expect(latestOrder(queue)).toBe(3);
    expect(latestOrder(new Map())).toBe(0);
  });
});
