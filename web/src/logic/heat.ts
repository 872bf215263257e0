/** Numbers as colours. */
export { heatColor as heat } from '../../../lib/tensor/heat.js';

/** A colour for each code: neighbours in the codebook look nothing alike, the same code always the same. */
export function codeColour(code: number): string {
  const hue = (code * 137.508) % 360;
  const light = 42 + ((code * 29) % 5) * 6;
  return `hsl(${hue.toFixed(1)} 48% ${light}%)`;
}
