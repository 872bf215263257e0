/** Reads PEFT's scale of factors from metadata: diffusers' `lora_adapter_metadata` or PEFT's adapter_config.json. */

/** The scale of one component's factors, or of all factors in a file. */
export interface LoraScaling {
  readonly alpha: number | undefined;
  /** Rank of factors that are stored as one matrix (PEFT's LoKr); others have it in their shape. */
  readonly rank: number | undefined;
  /** Alphas of individual layers, by a suffix of their name. */
  readonly patterns: ReadonlyMap<string, number>;
  /** Rank-stabilized scale (Kalajdzievski 2023, arXiv:2312.03732): alpha / √rank instead of alpha / rank. */
  readonly stabilized: boolean;
}

export interface LoraMetadata {
  /** Scales by component (`unet`, `text_encoder` ...); the empty name stands for all. */
  readonly scalings: ReadonlyMap<string, LoraScaling>;
  /** True if the factors were trained as DoRA, which needs the magnitudes of the weights. */
  readonly dora: boolean;
}

/** `alpha` and `r` are those of LoHa and LoKr, `lora_alpha` that of LoRA. */
const KEY = /^(?:(.+)\.)?(lora_alpha|alpha|r|use_rslora|use_dora|alpha_pattern)$/;

/**
 * @param notes text metadata of a safetensors file
 * @param config content of adapter_config.json, if it exists
 */
export function readMetadata(notes: ReadonlyMap<string, string>, config: unknown): LoraMetadata {
  const fields = new Map<string, Map<string, unknown>>();
  for (const [name, value] of [
    ...entriesOf(parsed(notes.get('lora_adapter_metadata'))),
    ...entriesOf(config),
  ]) {
    const [, component = '', key] = KEY.exec(name) ?? [];
    if (key === undefined) continue;
    const componentFields = fields.get(component) ?? new Map<string, unknown>();
    fields.set(component, componentFields.set(key, value));
  }
  return {
    scalings: new Map(
      [...fields].map(([component, componentFields]) => [component, scalingOf(componentFields)]),
    ),
    dora: [...fields.values()].some((componentFields) => componentFields.get('use_dora') === true),
  };
}

/** Returns the factor of `up · down`. An alpha of 0 stands for the rank, as in kohya's and LyCORIS' trainers. */
export function scaleOf(
  rank: number,
  alpha: number | undefined,
  scaling: LoraScaling | undefined,
  layer: string,
): number {
  const pattern = [...(scaling?.patterns ?? [])].find(
    ([name]) => layer === name || layer.endsWith(`.${name}`),
  );
  // LyCORIS stores alphas that already include the correction for rank-stabilized training.
  if (alpha !== undefined) return (alpha === 0 ? rank : alpha) / rank;
  const stated = pattern?.[1] ?? scaling?.alpha;
  if (stated === undefined) return 1;
  return stated / (scaling?.stabilized ? Math.sqrt(rank) : rank);
}

function scalingOf(fields: ReadonlyMap<string, unknown>): LoraScaling {
  const alpha = fields.get('lora_alpha') ?? fields.get('alpha');
  const rank = fields.get('r');
  const patterns = entriesOf(fields.get('alpha_pattern')).flatMap(([name, value]): [string, number][] =>
    isNumber(value) ? [[name, value]] : [],
  );
  return {
    alpha: isNumber(alpha) ? alpha : undefined,
    rank: isNumber(rank) && rank > 0 ? rank : undefined,
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
