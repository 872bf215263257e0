/** Numbers as colours. */

/** Matplotlib's inferno at eighths, black to pale yellow: as the server draws heat maps. */
const INFERNO = [
  [0, 0, 4],
  [31, 12, 72],
  [85, 15, 109],
  [136, 34, 106],
  [186, 54, 85],
  [227, 89, 51],
  [249, 140, 10],
  [249, 201, 50],
  [252, 255, 164],
] as const;

export type Colour = readonly [number, number, number];

/** @param unit 0 to 1 */
export function heat(unit: number): Colour {
  const position = Math.min(1, Math.max(0, unit)) * (INFERNO.length - 1);
  const i = Math.min(INFERNO.length - 2, Math.floor(position));
  const [from, to] = [INFERNO[i]!, INFERNO[i + 1]!];
  const mix = (c: 0 | 1 | 2): number => Math.round(from[c] + (to[c] - from[c]) * (position - i));
  return [mix(0), mix(1), mix(2)];
}

/** A colour for each code: neighbours in the codebook look nothing alike, the same code always the same. */
export function codeColour(code: number): string {
  const hue = (code * 137.508) % 360;
  const light = 42 + ((code * 29) % 5) * 6;
  return `hsl(${hue.toFixed(1)} 48% ${light}%)`;
}
