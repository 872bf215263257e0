/** Recognizes upscaling networks by their tensor names, below the prefixes of training scripts. */
import { bsrganNames, oldEsrganNames, type Translation } from './esrgan.js';
import type { CanonicalPart, Naming } from './naming.js';

export type UpscalerKind = 'rrdb_net' | 'compact' | 'swinir' | 'dat';

export interface FoundUpscaler {
  readonly kind: UpscalerKind;
  readonly naming: Naming;
}

interface Dialect {
  readonly kind: UpscalerKind;
  readonly name: string;
  /** Names that every file of the dialect contains. */
  readonly markers: readonly string[];
  readonly names: (names: readonly string[]) => Translation;
}

const unchanged: Translation = { canonical: (name) => name, source: (name) => name };

/** The first convolution of SwinIR is the second layer of a sequence if it reads rearranged pixels. */
function swinIRNames(names: readonly string[]): Translation {
  if (!names.includes('conv_first.1.weight')) return unchanged;
  return {
    canonical: (name) => name.replace(/^conv_first\.1\./, 'conv_first.'),
    source: (name) => name.replace(/^conv_first\./, 'conv_first.1.'),
  };
}

const DIALECTS: readonly Dialect[] = [
  {
    ...{ kind: 'rrdb_net', name: 'Real-ESRGAN', names: () => unchanged },
    markers: ['body.0.rdb1.conv1.weight', 'conv_first.weight'],
  },
  {
    ...{ kind: 'rrdb_net', name: 'BSRGAN', names: () => bsrganNames },
    markers: ['RRDB_trunk.0.RDB1.conv1.weight', 'conv_first.weight'],
  },
  {
    ...{ kind: 'rrdb_net', name: 'ESRGAN', names: oldEsrganNames },
    markers: ['model.1.sub.0.RDB1.conv1.0.weight', 'model.0.weight'],
  },
  {
    ...{ kind: 'swinir', name: 'SwinIR', names: swinIRNames },
    markers: [
      'layers.0.residual_group.blocks.0.attn.relative_position_bias_table',
      'layers.0.residual_group.blocks.0.mlp.fc1.weight',
    ],
  },
  {
    ...{ kind: 'dat', name: 'DAT', names: () => unchanged },
    markers: ['before_RG.1.weight', 'layers.0.blocks.0.attn.attns.0.rpe_biases'],
  },
  {
    ...{ kind: 'compact', name: 'Real-ESRGAN Compact', names: () => unchanged },
    markers: ['body.1.weight', 'body.0.weight'],
  },
];

/** Keys and wrappers below which training scripts store the weights. */
const WRAPPERS =
  /^(?:(?:params(?:[_-]ema)?|(?:model_)?state_dict|model_ema|ema|model|module|netG|net_g|net|network|generator|_orig_mod)\.)*$/;
const PARAMETER =
  /\.(?:weight|bias|running_mean|running_var|temperature|relative_position_bias_table|rpe_biases)$/;

/** Returns the network in a file; null if it has none. Moving averages are preferred to the weights themselves. */
export function findUpscaler(names: Iterable<string>): FoundUpscaler | null {
  const all = new Set(names);
  for (const dialect of DIALECTS) {
    const [marker = ''] = dialect.markers;
    const prefixes = [...all]
      .filter((name) => name.endsWith(marker))
      .map((name) => name.slice(0, -marker.length))
      .filter((prefix) => WRAPPERS.test(prefix) && dialect.markers.every((name) => all.has(prefix + name)))
      .sort((a, b) => Number(/ema/.test(b)) - Number(/ema/.test(a)) || a.length - b.length);
    const [prefix] = prefixes;
    if (prefix !== undefined) return { kind: dialect.kind, naming: namingOf(dialect, prefix, all) };
  }
  return null;
}

function namingOf({ name: dialect, names }: Dialect, prefix: string, all: ReadonlySet<string>): Naming {
  const own = [...all].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  const translation = names(own);
  return {
    dialect,
    canonical: (source): CanonicalPart[] => {
      if (!source.startsWith(prefix) || !PARAMETER.test(source)) return [];
      const name = translation.canonical(source.slice(prefix.length));
      return name === null ? [] : [{ name }];
    },
    source: (canonical) => prefix + translation.source(canonical),
  };
}
