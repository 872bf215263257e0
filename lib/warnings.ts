/**
 * Warnings: conditions that do not stop a call but may make its result differ from what the caller expects. They travel in results, job
 * events and `--json` output; the command line prints them to stderr otherwise.
 */

/** Stable identifiers; messages are for people and may change. */
export type WarningCode =
  /** A prompt uses syntax that is not supported and is encoded as plain words. */
  | 'PROMPT_SYNTAX'
  /** An input image was scaled down to the model's pixel count because no size was given. */
  | 'IMAGE_RESIZED'
  /** A requested size is far above what the model was trained on: slow, and prone to repeated subjects. */
  | 'LARGE_IMAGE'
  /** A GPU that is there cannot be used, or has too little memory: the work is done on the CPU. */
  | 'BACKEND_FALLBACK'
  /** A LoRA holds weights that the model has no place for; the others are applied. */
  | 'ADAPTER_KEYS_IGNORED'
  /** Settings of an infotext that could not be restored. */
  | 'NOT_RESTORED';

export interface Warning {
  readonly code: WarningCode;
  /** One sentence for people: the condition, and how to avoid it. */
  readonly message: string;
}

export type OnWarning = (warning: Warning) => void;

/** Collects the warnings of one call, each distinct message once, and reports them to `onWarning` as they occur. */
export class Warnings {
  private readonly collected: Warning[] = [];

  constructor(private readonly onWarning?: OnWarning | undefined) {}

  add(code: WarningCode, message: string): void {
    if (this.collected.some((warning) => warning.code === code && warning.message === message)) return;
    const warning = { code, message };
    this.collected.push(warning);
    this.onWarning?.(warning);
  }

  /** A copy of the warnings so far, oldest first. */
  get list(): Warning[] {
    return [...this.collected];
  }
}
