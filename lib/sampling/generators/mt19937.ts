/**
 * PyTorch's CPU generator: the Mersenne Twister of Matsumoto and Nishimura (1998) and the two algorithms by which
 * `torch.randn` derives normal f32 numbers from it (ATen's `CPUGeneratorImpl.h`, `DistributionTemplates.h`,
 * `DistributionsHelper.h`).
 */
import { type Generator, type Seed, seedBits } from './generator.js';

const N = 624;
const M = 397;
const TWO_PI_F32 = Math.fround(2 * Math.PI);
/** PyTorch generates tensors of at least this many numbers block-wise. */
const BLOCK = 16;
const HALF = BLOCK / 2;

const f32 = Math.fround;

export class TorchCpuGenerator implements Generator {
  private readonly state = new Uint32Array(N);
  private next = N;
  /** Second number of the last Box-Muller pair of the scalar path. */
  private spare: number | undefined;

  /** Uses the low 32 bits of the seed, as PyTorch does. */
  constructor(seed: Seed) {
    this.state[0] = Number(seedBits(seed) & 0xffffffffn);
    for (let i = 1; i < N; i++) {
      const previous = this.state[i - 1]!;
      this.state[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i;
    }
  }

  randn(size: number): Float32Array {
    return size >= BLOCK ? this.blocks(size) : Float32Array.from({ length: size }, () => this.normal());
  }

  /** Fills the tensor with uniform numbers, then applies Box-Muller between the halves of each block of 16. */
  private blocks(size: number): Float32Array {
    const data = new Float32Array(size);
    for (let i = 0; i < size; i++) data[i] = this.uniform24();
    const fullBlocks = size - (size % BLOCK);
    for (let i = 0; i < fullBlocks; i += BLOCK) boxMullerBlock(data, i);
    if (fullBlocks < size) {
      // PyTorch generates the last 16 numbers again, overlapping the last full block.
      for (let i = size - BLOCK; i < size; i++) data[i] = this.uniform24();
      boxMullerBlock(data, size - BLOCK);
    }
    return data;
  }

  /** `torch.Tensor.exponential_()` of an f32 tensor of `size` numbers: rate 1, each from a 53-bit uniform. */
  exponential(size: number): Float32Array {
    const data = new Float32Array(size);
    for (let i = 0; i < size; i++) data[i] = -Math.log1p(-this.uniform53());
    return data;
  }

  /** `torch.randint(below, [size])` for `below` up to 2^24 (PyTorch uses 64 bits for much larger bounds). */
  integers(size: number, below: number): Int32Array {
    const data = new Int32Array(size);
    for (let i = 0; i < size; i++) data[i] = this.random() % below;
    return data;
  }

  /** Returns one number of the scalar path, computed in f64 from 53-bit uniforms. */
  private normal(): number {
    if (this.spare !== undefined) {
      const value = this.spare;
      this.spare = undefined;
      return value;
    }
    const angle = 2 * Math.PI * this.uniform53();
    const radius = Math.sqrt(-2 * Math.log1p(-this.uniform53()));
    this.spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  private uniform24(): number {
    return (this.random() & 0xffffff) * 2 ** -24;
  }

  private uniform53(): number {
    const high = this.random() & 0x1fffff;
    return (high * 2 ** 32 + this.random()) * 2 ** -53;
  }

  /** Returns the next 32 bits as an unsigned integer. */
  random(): number {
    if (this.next === N) this.twist();
    let y = this.state[this.next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  private twist(): void {
    const { state } = this;
    for (let i = 0; i < N; i++) {
      const y = (state[i]! & 0x80000000) | (state[i + 1 < N ? i + 1 : 0]! & 0x7fffffff);
      state[i] = state[i + M < N ? i + M : i + M - N]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.next = 0;
  }
}

/** Applies Box-Muller to data[j] and data[j + 8] for j in [start, start + 8), in place and in f32. */
function boxMullerBlock(data: Float32Array, start: number): void {
  for (let j = start; j < start + HALF; j++) {
    const radius = f32(Math.sqrt(-2 * f32(Math.log(1 - data[j]!))));
    const angle = f32(TWO_PI_F32 * data[j + HALF]!);
    data[j] = radius * f32(Math.cos(angle));
    data[j + HALF] = radius * f32(Math.sin(angle));
  }
}
