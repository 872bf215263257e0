/**
 * Cache of cross-attention keys and values, which are the same at every step. They are computed once per set of
 * contexts and kept while a session uses them, so that batches and passes of a generation share them.
 */
import { isAborted, throwIfAborted } from '../../../errors.js';
import type { CrossAttentionState, UNet } from '../../../modules/unet.js';
import { Tensor } from '../../../tensor/tensor.js';

/**
 * Largest size of cached keys and values in bytes; above it, each step computes them. The default suffices for both
 * prompts of SDXL with three chunks, the limit of lean models only for SD1.5 and SD2.
 */
const MAX_BYTES = { default: 320e6, lean: 32e6 };

interface Entry {
  readonly contexts: readonly Tensor[];
  readonly patches: string | undefined;
  users: number;
  state: Promise<CrossAttentionState> | undefined;
}

/** A session's reference to a cache entry. */
export interface CachedKeys {
  /** Returns the keys and values, computing them if necessary. @throws OUT_OF_MEMORY, ABORTED, DISPOSED */
  get(signal: AbortSignal | undefined): Promise<CrossAttentionState>;
  /** Releases the reference; the keys and values are freed with the last one. Safe to call again. */
  release(): void;
}

export class CrossAttentionCache {
  private readonly entries = new Set<Entry>();

  /** @param lean true for the lower size limit */
  constructor(
    private readonly unet: UNet,
    private readonly lean: boolean,
  ) {}

  /**
   * Returns the bytes to cache for `count` contexts of `length` tokens; 0 without cross-attention and above the size
   * limit.
   */
  bytes(count: number, length: number): number {
    if (this.unet.config.attention_blocks || count * length === 0) return 0;
    const bytes = this.unet.bytesOfTexts(count, length);
    return bytes > MAX_BYTES[this.lean ? 'lean' : 'default'] ? 0 : bytes;
  }

  /**
   * Returns a reference to the entry of these contexts, which is created if necessary.
   * @param contexts `[1, T, D]` each, of equal length; entries are shared by identity of the tensors
   * @param patches name of the patch set to apply
   * @returns undefined if keys and values of this size are not cached
   */
  use(contexts: readonly Tensor[], patches?: string): CachedKeys | undefined {
    const length = contexts[0]?.shape[1] ?? 0;
    if (this.bytes(contexts.length, length) === 0) return undefined;
    let entry = [...this.entries].find(
      (candidate) =>
        candidate.patches === patches &&
        candidate.contexts.length === contexts.length &&
        candidate.contexts.every((context, i) => context === contexts[i]),
    );
    if (!entry) {
      entry = { contexts, patches, users: 0, state: undefined };
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
          entry.state ??= this.unet.cacheCrossAttention(Tensor.cat(entry.contexts), {
            patches: entry.patches,
            signal,
          });
          const computing = entry.state;
          try {
            return await computing;
          } catch (error) {
            if (entry.state === computing) entry.state = undefined;
            // If another caller's signal aborted the shared computation, this caller retries.
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
        entry.state?.then(
          (state) => state[Symbol.dispose](),
          () => undefined,
        );
      },
    };
  }
}
