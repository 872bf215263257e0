/**
 * Returns true for marker tensors, which are no weights: their names state how the model was trained (such as
 * `v_pred`).
 */
export function isMarker(name: string): boolean {
  return name === 'v_pred' || name === 'ztsnr' || name === 'scale_factor';
}
