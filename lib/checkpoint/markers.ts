/** Recognizes tensors by which the makers of a file say how it was trained; they are no weights. */
export function isMarker(name: string): boolean {
  return name === 'v_pred' || name === 'ztsnr' || name === 'scale_factor';
}
