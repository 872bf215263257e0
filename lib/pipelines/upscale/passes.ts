/** Division of an RGBA image into images with the channels of an upscaling network. */
import type { ByteImage } from '../../image/resample.js';

/** One run of the network over the image. */
export interface Pass {
  /** Channel of the image (0 red to 3 alpha) that each input channel of the network reads. */
  readonly from: readonly number[];
  /** Channels of the result, and the output channels of the network whose mean each of them is. */
  readonly to: readonly { readonly channel: number; readonly outputs: readonly number[] }[];
}

export interface PassPlan {
  readonly passes: readonly Pass[];
  /** Channels of the result: 3, or 4 if the image is not opaque. */
  readonly channels: 3 | 4;
  /** Alpha of the whole result if all pixels have the same, which takes no pass. */
  readonly alpha: number | undefined;
}

/**
 * Plans the passes of an RGBA image. Networks for RGB read the three colors at once; networks for grey images read each
 * color by itself, or a grey image once. Alpha that varies is upscaled as a grey image.
 */
export function planPasses(image: ByteImage, networkChannels: number): PassPlan {
  const alpha = constantAlpha(image);
  const passes: Pass[] = [];
  if (networkChannels === 3) {
    passes.push({ from: [0, 1, 2], to: [0, 1, 2].map((channel) => ({ channel, outputs: [channel] })) });
  } else if (isGrey(image)) {
    passes.push({ from: [0], to: [0, 1, 2].map((channel) => ({ channel, outputs: [0] })) });
  } else {
    for (const channel of [0, 1, 2]) passes.push({ from: [channel], to: [{ channel, outputs: [0] }] });
  }
  if (alpha === undefined) {
    const all = Array.from({ length: networkChannels }, (_, i) => i);
    passes.push({ from: all.map(() => 3), to: [{ channel: 3, outputs: all }] });
  }
  return { passes, channels: alpha === 255 ? 3 : 4, alpha };
}

/** Returns the alpha of all pixels; undefined if it varies. */
function constantAlpha({ data }: ByteImage): number | undefined {
  const first = data[3]!;
  for (let i = 7; i < data.length; i += 4) if (data[i] !== first) return undefined;
  return first;
}

function isGrey({ data }: ByteImage): boolean {
  for (let i = 0; i < data.length; i += 4)
    if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
  return true;
}
