/** Growth of work with the length of a text, by processor time: without a bound in seconds, whatever else the machine does. */

/** Characters of the long text, and times as many as the short one's. */
const LONG = 128_000;
const TIMES = 16;
/** Milliseconds: what takes less is too short to tell growth by. */
const LEAST = 1;

/**
 * The time of a long text over that of one a sixteenth as long, each the shortest of several runs, and over the 16 that it may be: about 1
 * where work is linear, 16 where it is quadratic.
 * @param make a text of about so many characters
 */
export function growth(make: (length: number) => string, work: (text: string) => void): number {
  const [short, long] = [make(LONG / TIMES), make(LONG)];
  const time = (text: string): number => {
    const start = process.cpuUsage();
    work(text);
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  };
  let [ofShort, ofLong] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let run = 0; run < 5; run++) {
    for (let again = 0; again < 4; again++) ofShort = Math.min(ofShort, time(short));
    ofLong = Math.min(ofLong, time(long));
  }
  return ofLong / TIMES / Math.max(ofShort, LEAST);
}
