/**
 * What VQGAN trains beside its autoencoder, under the names of the reference (`loss.discriminator.`, `loss.perceptual_loss.`), which are
 * canonical here.
 */
import type { CanonicalPart, Naming } from './naming.js';

const DISCRIMINATOR = /^main\.\d+\.(?:weight|bias|running_mean|running_var|loc|scale)$/;
const LPIPS =
  /^(?:scaling_layer\.(?:shift|scale)|net\.slice[1-5]\.\d+\.(?:weight|bias)|lin[0-4]\.model\.[01]\.weight)$/;

/** @param prefix what stands before the discriminator's names, with its dot */
export function discriminatorNaming(prefix: string): Naming {
  return named('taming (discriminator)', prefix, DISCRIMINATOR, (name) => name);
}

/** @param prefix what stands before the perceptual loss's names, with its dot */
export function lpipsNaming(prefix: string): Naming {
  // The weights of a depth follow a dropout, where there is one.
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
