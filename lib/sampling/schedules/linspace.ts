const f32 = Math.fround;

/**
 * `torch.linspace(start, end, n)` in f32: computed from the nearer end with fused multiply-add. With n = 1 returns
 * `start`.
 */
export function linspace(start: number, end: number, n: number): number[] {
  const [first, last] = [f32(start), f32(end)];
  const step = n > 1 ? f32(f32(last - first) / (n - 1)) : 0;
  return Array.from({ length: n }, (_, i) =>
    f32(i < Math.floor(n / 2) || n === 1 ? first + step * i : last - step * (n - 1 - i)),
  );
}
