/**
 * PyTorch's CUDA generator on the CPU, as A1111's "NV" source implements it: Philox 4x32-10 (Salmon et al. 2011,
 * "Parallel random numbers: as easy as 1, 2, 3"). The counter consists of the index of the call and of the element;
 * each element is the first number of the Box-Muller pair that cuRAND computes from the first two of the counter's
 * four output words.
 *
 * Equals `torch.randn(..., device='cuda')` for tensors small enough that the GPU uses one thread per element.
 */
import { type Generator, type Seed, seedBits } from './generator.js';

const ROUNDS = 10;
const MULTIPLIER_A = 0xd2511f53;
const MULTIPLIER_B = 0xcd9e8d57;
const WEYL_LOW = 0x9e3779b9;
const WEYL_HIGH = 0xbb67ae85;

/** cuRAND's f32 constants; A1111 computes with them in f64. */
const TO_UNIT = Math.fround(2.3283064e-10);
const TO_CIRCLE = Math.fround(2.3283064e-10 * 6.2831855);

export class TorchCudaGenerator implements Generator {
  /** Round keys: the low and high word of the seed, incremented by the Weyl constants each round. */
  private readonly keys = new Int32Array(2 * ROUNDS);
  private calls = 0;

  constructor(seed: Seed) {
    const bits = seedBits(seed);
    for (let round = 0; round < ROUNDS; round++) {
      this.keys[2 * round] = Number(bits & 0xffffffffn) + Math.imul(round, WEYL_LOW);
      this.keys[2 * round + 1] = Number(bits >> 32n) + Math.imul(round, WEYL_HIGH);
    }
  }

  randn(size: number): Float32Array {
    const data = new Float32Array(size);
    for (let element = 0; element < size; element++) data[element] = this.normal(element);
    this.calls++;
    return data;
  }

  private normal(element: number): number {
    const { keys } = this;
    let a = this.calls | 0; // the counter's four words
    let b = 0;
    let c = element | 0;
    let d = 0;
    for (let i = 0; i < 2 * ROUNDS; i += 2) {
      const nextC = highProduct(a, MULTIPLIER_A) ^ d ^ keys[i + 1]!;
      d = Math.imul(a, MULTIPLIER_A);
      a = highProduct(c, MULTIPLIER_B) ^ b ^ keys[i]!;
      b = Math.imul(c, MULTIPLIER_B);
      c = nextC;
    }
    const unit = (a >>> 0) * TO_UNIT + TO_UNIT / 2;
    const angle = (b >>> 0) * TO_CIRCLE + TO_CIRCLE / 2;
    return Math.sqrt(-2 * Math.log(unit)) * Math.sin(angle);
  }
}

/** Returns the high 32 bits of the product of two unsigned words; all partial sums of 16-bit halves fit in 32 bits. */
function highProduct(x: number, y: number): number {
  const xLow = x & 0xffff;
  const xHigh = x >>> 16;
  const yLow = y & 0xffff;
  const yHigh = y >>> 16;
  const first = Math.imul(xHigh, yLow) + (Math.imul(xLow, yLow) >>> 16);
  const second = Math.imul(xLow, yHigh) + (first & 0xffff);
  return (Math.imul(xHigh, yHigh) + (first >>> 16) + (second >>> 16)) | 0;
}
