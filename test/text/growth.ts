/** Growth of work with the length of a text, by the clock but without a bound in seconds. */

/**
 * The time of a text of 16,000 x 8 characters over that of 16,000, the shortest of several runs each: about 8 where work is linear, 64
 * where it is quadratic.
 * @param make a text of about so many characters
 * @returns the growth over that of linear work: about 1
 */
export function growth(make: (length: number) => string, work: (text: string) => void): number {
  const [short, long] = [make(16_000), make(128_000)];
  const time = (text: string): number => {
    let shortest = Number.POSITIVE_INFINITY;
    for (let run = 0; run < 5; run++) {
      const start = performance.now();
      work(text);
      shortest = Math.min(shortest, performance.now() - start);
    }
    return shortest;
  };
  time(short);
  // What takes less than a millisecond is too short to tell growth by.
  return time(long) / 8 / Math.max(time(short), 1);
}
