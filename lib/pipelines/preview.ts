/**
 * A cheap look at a latent: each of its pixels as a colour, by a linear map. Autoencoders of this kind keep the picture's
 * colours as a linear function of the latent's channels, nearly; the map of a model is found by encoding one test picture and
 * fitting, so that it holds for any autoencoder.
 */
import { resample } from '../image/resample.js';
import type { Autoencoder } from '../models/autoencoder.js';
import type { AutoencoderConfig } from '../models/config.js';
import type { RgbImage } from '../tensor/picture.js';
import { Tensor } from '../tensor/tensor.js';
import { latentsOf } from './latents.js';

/** Latent pixels of a side of the test picture. */
const SIDE = 16;
/** Keeps the fit defined where channels say nothing about colour. */
const RIDGE = 1e-3;

export class LatentPreview {
  private fitted: Promise<readonly (readonly number[])[]> | undefined;

  constructor(
    private readonly config: AutoencoderConfig,
    private readonly factor: number,
    private readonly autoencoder: () => Promise<Autoencoder>,
  ) {}

  /** The picture that `[C, h, w]` will be, roughly, at the given size. */
  async draw(latent: Tensor, width: number, height: number): Promise<RgbImage> {
    const [channels = 0, h = 0, w = 0] = latent.shape;
    const map = await this.map();
    const plane = h * w;
    const data = new Uint8Array(plane * 3);
    for (let i = 0; i < plane; i++) {
      for (let c = 0; c < 3; c++) {
        let value = map[c]![channels]!;
        for (let k = 0; k < channels; k++) value += map[c]![k]! * latent.data[k * plane + i]!;
        data[i * 3 + c] = Math.round(255 * Math.min(1, Math.max(0, value / 2 + 0.5)));
      }
    }
    return resample({ data, width: w, height: h, channels: 3 }, width, height, 'bicubic');
  }

  /** For each colour the weights of the channels, and a constant. */
  private map(): Promise<readonly (readonly number[])[]> {
    this.fitted ??= this.fit().catch((error: unknown) => {
      this.fitted = undefined;
      throw error;
    });
    return this.fitted;
  }

  private async fit(): Promise<readonly (readonly number[])[]> {
    const { colours, picture } = testPicture(this.factor);
    const moments = await (await this.autoencoder()).encode(picture, {});
    const latent = latentsOf(moments, this.config);
    const plane = SIDE * SIDE;
    const rows = Array.from({ length: plane }, (_, i) => {
      const row = Array.from({ length: latent.shape[1]! }, (_c, k) => latent.data[k * plane + i]!);
      return [...row, 1];
    });
    return colours.map((targets) => leastSquares(rows, targets));
  }
}

/** Patches of random colours, blended into one another: `[1, 3, H, W]`, and the mean colours of the latent's pixels. */
function testPicture(factor: number): { colours: number[][]; picture: Tensor } {
  const random = lcg(20240607);
  const knots = 7;
  const side = SIDE * factor;
  const picture = Tensor.zeros([1, 3, side, side]);
  const colours = [0, 1, 2].map(() => new Array<number>(SIDE * SIDE).fill(0));
  for (let c = 0; c < 3; c++) {
    // Uniform colours between and beyond the ends, so that black and white come up too.
    const grid = Array.from({ length: knots * knots }, () => Math.min(1, Math.max(-1, 2.6 * random() - 1.3)));
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const value = bilinear(grid, knots, (x / (side - 1)) * (knots - 1), (y / (side - 1)) * (knots - 1));
        picture.data[(c * side + y) * side + x] = value;
        colours[c]![Math.floor(y / factor) * SIDE + Math.floor(x / factor)]! += value / (factor * factor);
      }
    }
  }
  return { colours, picture };
}

function bilinear(grid: readonly number[], knots: number, x: number, y: number): number {
  const [left, top] = [Math.min(knots - 2, Math.floor(x)), Math.min(knots - 2, Math.floor(y))];
  const at = (dx: number, dy: number): number => grid[(top + dy) * knots + left + dx]!;
  const [u, v] = [x - left, y - top];
  return (1 - v) * ((1 - u) * at(0, 0) + u * at(1, 0)) + v * ((1 - u) * at(0, 1) + u * at(1, 1));
}

/** The same numbers every time. */
function lcg(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Weights w that make rows * w come nearest to the targets: the normal equations, by elimination with pivots. */
export function leastSquares(rows: readonly (readonly number[])[], targets: readonly number[]): number[] {
  const n = rows[0]!.length;
  const system = Array.from({ length: n }, (_, i) =>
    Array.from({ length: n + 1 }, (_c, j) =>
      rows.reduce((sum, row, r) => sum + row[i]! * (j === n ? targets[r]! : row[j]!), i === j ? RIDGE : 0),
    ),
  );
  for (let i = 0; i < n; i++) {
    let pivot = i;
    for (let r = i + 1; r < n; r++) if (Math.abs(system[r]![i]!) > Math.abs(system[pivot]![i]!)) pivot = r;
    [system[i], system[pivot]] = [system[pivot]!, system[i]!];
    for (let r = 0; r < n; r++) {
      if (r === i) continue;
      const factor = system[r]![i]! / system[i]![i]!;
      for (let j = i; j <= n; j++) system[r]![j]! -= factor * system[i]![j]!;
    }
  }
  return system.map((row, i) => row[n]! / row[i]!);
}
