/**
 * Cross-attention keys and values, which are the same at every step: computed once per set of contexts and kept with the U-Net while a
 * session uses them, so that the batches and passes of a generation share them.
 */
import { isAborted, throwIfAborted } from '../../../errors.js';
import type { CrossAttentionState, UNet } from '../../../modules/unet.js';
import { Tensor } from '../../../tensor/tensor.js';

/** Beyond this (three windows of SDXL, of both prompts) each step computes them again; a lean model keeps those of SD1.5 and SD2 only. */
const LIMIT = { usual: 320e6, lean: 32e6 };

interface Entry {
  readonly contexts: readonly Tensor[];
  readonly patches: string | undefined;
  users: number;
  kept: Promise<CrossAttentionState> | undefined;
}

/** A session's share of an entry. */
export interface CachedKeys {
  /** @throws OUT_OF_MEMORY, ABORTED, DISPOSED */
  get(signal: AbortSignal | undefined): Promise<CrossAttentionState>;
  /** Frees the keys and values once nobody uses them; safe to call again. */
  release(): void;
}

export class CrossAttentionCache {
  private readonly entries = new Set<Entry>();

  /** @param lean keeps little */
  constructor(
    private readonly unet: UNet,
    private readonly lean: boolean,
  ) {}

  /** Bytes for so many contexts of so many tokens: 0 for a U-Net without cross-attention, or where they are too many to be kept. */
  bytes(count: number, length: number): number {
    if (this.unet.config.attention_blocks || count * length === 0) return 0;
    const bytes = this.unet.bytesOfTexts(count, length);
    return bytes > LIMIT[this.lean ? 'lean' : 'usual'] ? 0 : bytes;
  }

  /**
   * @param contexts `[1, T, D]` each, of one length; the same tensors again share keys and values
   * @param patches name of the patch set that they are computed with
   * @returns undefined where none are kept
   */
  use(contexts: readonly Tensor[], patches?: string): CachedKeys | undefined {
    const length = contexts[0]?.shape[1] ?? 0;
    if (this.bytes(contexts.length, length) === 0) return undefined;
    let entry = [...this.entries].find(
      (one) =>
        one.patches === patches &&
        one.contexts.length === contexts.length &&
        one.contexts.every((context, i) => context === contexts[i]),
    );
    if (!entry) {
      entry = { contexts, patches, users: 0, kept: undefined };
      this.entries.add(entry);
    }
    entry.users++;
    return this.share(entry);
  }

  private share(entry: Entry): CachedKeys {
    let released = false;
    return {
      get: async (signal) => {
        for (;;) {
          throwIfAborted(signal);
          entry.kept ??= this.unet.cacheCrossAttention(Tensor.cat(entry.contexts), {
            patches: entry.patches,
            signal,
          });
          const computing = entry.kept;
          try {
            return await computing;
          } catch (error) {
            if (entry.kept === computing) entry.kept = undefined;
            // The signal of another call, which came first, ended what this one waited for.
            if (signal?.aborted || !isAborted(error)) throw error;
          }
        }
      },
      release: () => {
        if (released) return;
        released = true;
        entry.users--;
        if (entry.users > 0) return;
        this.entries.delete(entry);
        entry.kept?.then(
          (kept) => kept[Symbol.dispose](),
          () => undefined,
        );
      },
    };
  }
}
