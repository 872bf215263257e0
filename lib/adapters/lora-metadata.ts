/** PEFT's scale of the factors, which files state outside of their tensors: diffusers' `lora_adapter_metadata` and PEFT's adapter_config.json. */

/** The scale of one module's factors, or of all in a file. */
export interface LoraScaling {
  readonly alpha: number | undefined;
  /** Alphas of some places, by a suffix of their name. */
  readonly patterns: ReadonlyMap<string, number>;
  /** Rank-stabilized (Kalajdzievski 2023, arXiv:2312.03732): alpha / √rank in the place of alpha / rank. */
  readonly stabilized: boolean;
}

export interface LoraMetadata {
  /** By component (`unet`, `text_encoder` ...); the empty name stands for all. */
  readonly scalings: ReadonlyMap<string, LoraScaling>;
}

const KEY = /^(?:(.+)\.)?(lora_alpha|use_rslora|alpha_pattern)$/;

/**
 * @param notes of a safetensors file
 * @param config the content of adapter_config.json, if there is one
 */
export function readMetadata(notes: ReadonlyMap<string, string>, config: unknown): LoraMetadata {
  const fields = new Map<string, Map<string, unknown>>();
  for (const [name, value] of [
    ...entriesOf(parsed(notes.get('lora_adapter_metadata'))),
    ...entriesOf(config),
  ]) {
    const [, component = '', key] = KEY.exec(name) ?? [];
    if (key === undefined) continue;
    const own = fields.get(component) ?? new Map<string, unknown>();
    fields.set(component, own.set(key, value));
  }
  return {
    scalings: new Map([...fields].map(([component, own]) => [component, scalingOf(own)])),
  };
}

/** The factor of `up · down`. An alpha of 0 counts as the rank, as kohya's and LyCORIS' trainers read it. */
export function scaleOf(
  rank: number,
  alpha: number | undefined,
  scaling: LoraScaling | undefined,
  place: string,
): number {
  const pattern = [...(scaling?.patterns ?? [])].find(
    ([name]) => place === name || place.endsWith(`.${name}`),
  );
  // LyCORIS stores alphas that are already corrected for rank-stabilized training.
  if (alpha !== undefined) return (alpha === 0 ? rank : alpha) / rank;
  const stated = pattern?.[1] ?? scaling?.alpha;
  if (stated === undefined) return 1;
  return stated / (scaling?.stabilized ? Math.sqrt(rank) : rank);
}

function scalingOf(fields: ReadonlyMap<string, unknown>): LoraScaling {
  const alpha = fields.get('lora_alpha');
  const patterns = entriesOf(fields.get('alpha_pattern')).flatMap(([name, value]): [string, number][] =>
    isNumber(value) ? [[name, value]] : [],
  );
  return {
    alpha: isNumber(alpha) ? alpha : undefined,
    patterns: new Map(patterns),
    stabilized: fields.get('use_rslora') === true,
  };
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
