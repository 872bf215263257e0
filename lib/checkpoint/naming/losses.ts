/**
 * The networks that VQGAN trains in addition to its autoencoder. The reference's names (`loss.discriminator.`,
 * `loss.perceptual_loss.`) are canonical.
 */
import type { CanonicalPart, Naming } from './naming.js';

const DISCRIMINATOR = /^main\.\d+\.(?:weight|bias|running_mean|running_var|loc|scale)$/;
const LPIPS =
  /^(?:scaling_layer\.(?:shift|scale)|net\.slice[1-5]\.\d+\.(?:weight|bias)|lin[0-4]\.model\.[01]\.weight)$/;

/** @param prefix prefix of the discriminator's names with the dot */
export function discriminatorNaming(prefix: string): Naming {
  return named('taming (discriminator)', prefix, DISCRIMINATOR, (name) => name);
}

/** @param prefix prefix of the perceptual loss's names with the dot */
export function lpipsNaming(prefix: string): Naming {
  // The index depends on whether a dropout precedes the weights of a depth.
  return named('taming (LPIPS)', prefix, LPIPS, (name) =>
    name.replace(/^(lin\d)\.model\.0\./, '$1.model.1.'),
  );
}

function named(
  dialect: string,
  prefix: string,
  parameters: RegExp,
  canonical: (name: string) => string,
): Naming {
  return {
    dialect,
    canonical: (source): CanonicalPart[] => {
      const name = source.startsWith(prefix) ? source.slice(prefix.length) : '';
      return parameters.test(name) ? [{ name: canonical(name) }] : [];
    },
    source: (name) => prefix + name,
  };
}
