/**
 * Growth of work with the length of a text, measured in processor time: independent of a bound in seconds and
 * of other load.
 */

/** Length of the long text in characters, and its ratio to the short text. */
const LONG = 128_000;
const TIMES = 16;
/** Milliseconds below which a time is too short to measure growth. */
const LEAST = 1;

/**
 * Returns the time of a long text divided by that of one a sixteenth as long, each the minimum of several
 * runs, and divided by 16: about 1 for linear work, 16 for quadratic work.
 * @param make returns a text of about the given number of characters
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
