/** Maps numbers to colors. */
export { heatColor as heat } from '../../../lib/tensor/heat.js';

/** Returns a color for a code index. Adjacent indices get clearly different colors. */
export function codeColour(code: number): string {
  const hue = (code * 137.508) % 360;
  const light = 42 + ((code * 29) % 5) * 6;
  return `hsl(${hue.toFixed(1)} 48% ${light}%)`;
}
