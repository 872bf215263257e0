/**
 * Returns true for marker tensors, which are no weights: their names state how the model was trained (such as `v_pred`) or
 * that it has scaled 8-bit floats.
 */
export function isMarker(name: string): boolean {
  return /^(v_pred|ztsnr|scale_factor)$|(^|\.)scaled_fp8$/.test(name);
}
