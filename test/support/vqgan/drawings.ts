/** Images drawn by the tests. */
import sharp from 'sharp';

export interface Pixels {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** A ring of `ink` on white around the center, as a sketch of a face: gray bytes, three per pixel. */
export function ring(width: number, height = width, ink = 20): Pixels {
  const radius = 0.36 * Math.min(width, height);
  return painted(width, height, (x, y) => {
    const far = Math.abs(Math.hypot(x - width / 2, y - height / 2) - radius);
    return far < 0.02 * width ? [ink, ink, ink] : [255, 255, 255];
  });
}

/** A yellow ball on white, with a red stripe. */
export function ball(width: number, height = width): Pixels {
  const radius = 0.38 * Math.min(width, height);
  return painted(width, height, (x, y) => {
    if (Math.hypot(x - width / 2, y - height / 2) > radius) return [255, 255, 255];
    return Math.abs(y - height / 2) < 0.06 * height ? [220, 30, 40] : [250, 200, 40];
  });
}

export function painted(
  width: number,
  height: number,
  colour: (x: number, y: number) => readonly [number, number, number],
): Pixels {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++)
    data.set(colour((i % width) + 0.5, Math.floor(i / width) + 0.5), i * 3);
  return { data, width, height };
}

export async function pngOf({ data, width, height }: Pixels): Promise<Buffer> {
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}
