import type { LatentCodec } from '../../families/shared/latent-codec.js';
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import type { NetworkChanges } from '../../sampling/network.js';

/** Returns the model's codec; for images that tile seamlessly, one that wraps around their edges. */
export async function codecOf(
  loaded: LoadedModel,
  { seamless }: Pick<NetworkChanges, 'seamless'>,
  signal: AbortSignal | undefined,
): Promise<Pick<LatentCodec, 'encode' | 'decode' | 'memory'>> {
  const codec = await loaded.codec(signal);
  if (!seamless) return codec;
  return {
    encode: (image, control) => codec.encode(image, { ...control, seamless }),
    decode: (latent, control) => codec.decode(latent, { ...control, seamless }),
    memory: () => codec.memory(),
  };
}
