/** Colors of numbers. The web page uses this file too, so it has no imports. */

/** Matplotlib's inferno at eighths, from black to pale yellow; perceptually uniform, and monotonic in gray. */
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

/** Returns the color [red, green, blue] of a number between 0 and 1. */
export function heatColor(unit: number): [number, number, number] {
  const position = Math.min(1, Math.max(0, unit)) * (INFERNO.length - 1);
  const i = Math.min(INFERNO.length - 2, Math.floor(position));
  const [from, to] = [INFERNO[i]!, INFERNO[i + 1]!];
  const mix = (c: 0 | 1 | 2): number => Math.round(from[c] + (to[c] - from[c]) * (position - i));
  return [mix(0), mix(1), mix(2)];
}
