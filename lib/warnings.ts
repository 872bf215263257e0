/**
 * Warnings: conditions that do not stop a call but may make its result differ from what the caller expects. Results,
 * job events and `--json` output contain them; without `--json` the command line prints them to stderr.
 */

/**
 * Stable identifiers of warnings, for programs to branch on. Messages are for people and may change between versions.
 */
export type WarningCode =
  /** A prompt contains a tag that is not supported and is ignored, or several texts where only one is used. */
  | 'PROMPT_SYNTAX'
  /** An input image was scaled down to the model's pixel count because no size was given. */
  | 'IMAGE_RESIZED'
  /** The requested size is far above the model's training size: generation is slow, and subjects tend to repeat. */
  | 'LARGE_IMAGE'
  /** A GPU cannot be used or has too little memory; the CPU is used instead. */
  | 'BACKEND_FALLBACK'
  /** A LoRA contains weights that match none of the model's; the others are applied. */
  | 'ADAPTER_KEYS_IGNORED'
  /** A prompt names a LoRA that does not exist; it is ignored (with `missingAdapters: 'warn'`). */
  | 'ADAPTER_NOT_FOUND'
  /** A prompt contains the name of an embedding that does not fit the model; the name remains text. */
  | 'ADAPTER_MISMATCH'
  /** LoRAs in memory mode `lean`: the private memory that they take. */
  | 'ADAPTER_MEMORY'
  /** Default options that were used because the model or a LoRA is distilled for few steps. */
  | 'FEW_STEP_DEFAULTS'
  /** The negative prompt has no effect on a model that embeds the guidance scale. */
  | 'NEGATIVE_UNUSED'
  /** Some settings of an infotext could not be restored. */
  | 'NOT_RESTORED';

export interface Warning {
  readonly code: WarningCode;
  /** One sentence that states the condition and how to avoid it. */
  readonly message: string;
}

export type OnWarning = (warning: Warning) => void;

/** Collects the warnings of one call, without duplicates, and passes each to `onWarning` as it occurs. */
export class Warnings {
  private readonly collected: Warning[] = [];

  constructor(private readonly onWarning?: OnWarning | undefined) {}

  add(code: WarningCode, message: string): void {
    if (this.collected.some((warning) => warning.code === code && warning.message === message)) return;
    const warning = { code, message };
    this.collected.push(warning);
    this.onWarning?.(warning);
  }

  /** Returns a copy of the warnings collected so far, oldest first. */
  get list(): Warning[] {
    return [...this.collected];
  }
}
