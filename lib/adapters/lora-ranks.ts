/** Restriction of a LoRA to its first ranks, as A1111's tag `<lora:name:1:1:RANKS>` requests. */
import type { TensorInfo } from '../checkpoint/weights/tensor-index.js';
import { elementCount } from '../tensor/shape.js';

/** Two factors, `up [rows, r]` and `down [r, columns, ...]`. */
interface Factors {
  readonly up: TensorInfo;
  readonly down: TensorInfo;
}

/** Returns the first ranks of two factors as views; factors of fewer ranks are unchanged. */
export function withLeadingRanks({ up, down }: Factors, ranks: number | undefined): Factors {
  const [rank = 0, ...columns] = down.shape;
  const [rows = 0, across = 0, ...ones] = up.shape;
  if (ranks === undefined || ranks >= rank || across !== rank) return { up, down };
  return { up: view(up, [rows, ranks, ...ones]), down: view(down, [ranks, ...columns]) };
}

/** Returns the leading part of a tensor, with the strides of the whole. */
function view({ checksum: _, ...tensor }: TensorInfo, shape: readonly number[]): TensorInfo {
  const strides = tensor.strides ?? contiguous(tensor.shape);
  const elementSize = tensor.length / span(tensor.shape, strides);
  return { ...tensor, shape, strides, length: span(shape, strides) * elementSize };
}

function contiguous(shape: readonly number[]): number[] {
  return shape.map((_, i) => elementCount(shape.slice(i + 1)));
}

/** Returns the number of elements from the first to the last one. */
function span(shape: readonly number[], strides: readonly number[]): number {
  return shape.reduce((sum, side, i) => sum + (side - 1) * (strides[i] ?? 0), 1);
}
