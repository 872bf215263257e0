/**
 * PyTorch's CUDA generator as A1111's "NV" source gives it on any machine: Philox 4x32-10 (Salmon et al. 2011, "Parallel
 * random numbers: as easy as 1, 2, 3"), one counter for each element of a draw, the draw's index beside it, and of each
 * counter's four words the first number of one Box-Muller pair, as cuRAND makes it of the first two.
 *
 * That is `torch.randn(..., device='cuda')` while a tensor is small enough for the GPU to give each element its own thread.
 */
import { type Generator, type Seed, seedBits } from './generator.js';

const ROUNDS = 10;
const MULTIPLIER = [0xd2511f53, 0xcd9e8d57] as const;
const WEYL = [0x9e3779b9, 0xbb67ae85] as const;

/** cuRAND's constants in f32; A1111's arithmetic over them is f64. */
const TO_UNIT = Math.fround(2.3283064e-10);
const TO_CIRCLE = Math.fround(2.3283064e-10 * 6.2831855);

export class TorchCudaGenerator implements Generator {
  /** Low and high half of the seed for each round, bumped by the Weyl constants. */
  private readonly keys: readonly (readonly [number, number])[];
  private draws = 0;

  constructor(seed: Seed) {
    const bits = seedBits(seed);
    const [low, high] = [Number(bits & 0xffffffffn), Number(bits >> 32n)];
    this.keys = Array.from({ length: ROUNDS }, (_, i) => [
      (low + Math.imul(i, WEYL[0])) | 0,
      (high + Math.imul(i, WEYL[1])) | 0,
    ]);
  }

  randn(size: number): Float32Array {
    const data = new Float32Array(size);
    for (let element = 0; element < size; element++) data[element] = this.normal(element);
    this.draws++;
    return data;
  }

  private normal(element: number): number {
    // the counter's words: (draw, 0, element, 0)
    let [a, b, c, d] = [this.draws, 0, element, 0];
    for (const [low, high] of this.keys) {
      const [p, q] = [highProduct(a, MULTIPLIER[0]), highProduct(c, MULTIPLIER[1])];
      const [pLow, qLow] = [Math.imul(a, MULTIPLIER[0]), Math.imul(c, MULTIPLIER[1])];
      a = q ^ b ^ low;
      b = qLow;
      c = p ^ d ^ high;
      d = pLow;
    }
    const unit = (a >>> 0) * TO_UNIT + TO_UNIT / 2;
    const angle = (b >>> 0) * TO_CIRCLE + TO_CIRCLE / 2;
    return Math.sqrt(-2 * Math.log(unit)) * Math.sin(angle);
  }
}

/** High 32 bits of a product of two unsigned 32-bit numbers, by halves that f64 holds exactly. */
function highProduct(x: number, y: number): number {
  const unsigned = x >>> 0;
  const low = unsigned * (y & 0xffff);
  const high = unsigned * (y >>> 16);
  return (high + Math.floor(low / 65536)) / 65536;
}
