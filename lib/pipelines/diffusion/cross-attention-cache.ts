/**
 * The text side of cross-attention, computed once per prompt: keys and values of all texts of a generation stay with the U-Net while it
 * runs, whether its conditions go one by one or together, through all of its batches and passes.
 */
import type { KeptTexts, UNet } from '../../modules/unet.js';
import { Tensor } from '../../tensor/tensor.js';

/** Beyond this (three windows of SDXL, of both prompts) each step computes them again; a lean model keeps those of SD1.5 and SD2 only. */
const MOST_BYTES = { usual: 320e6, lean: 32e6 };

/** Bytes that a generation keeps of so many texts of so many tokens: none for a U-Net that attends to no text, or where they are too many. */
export function keptBytes(unet: UNet, count: number, length: number, lean: boolean): number {
  if (unet.config.attention_blocks) return 0;
  const bytes = unet.bytesOfTexts(count, length);
  return bytes > MOST_BYTES[lean ? 'lean' : 'usual'] ? 0 : bytes;
}

/** One for a generation; keeps what was asked for last. */
export class TextKeeper implements Disposable {
  private unet: UNet | undefined;
  private contexts: readonly Tensor[] = [];
  private kept: KeptTexts | undefined;

  /** @param lean whether memory counts more than speed */
  constructor(private readonly lean: boolean) {}

  /**
   * @param contexts `[1, T, D]` each, of one length; the same tensors again are the same texts
   * @returns undefined where none are kept
   * @throws OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async keep(
    unet: UNet,
    contexts: readonly Tensor[],
    signal: AbortSignal | undefined,
  ): Promise<KeptTexts | undefined> {
    const same =
      unet === this.unet &&
      contexts.length === this.contexts.length &&
      contexts.every((context, i) => context === this.contexts[i]);
    if (same && this.kept) return this.kept;
    this[Symbol.dispose]();
    const length = contexts[0]?.shape[1] ?? 0;
    if (keptBytes(unet, contexts.length, length, this.lean) === 0) return undefined;
    this.kept = await unet.keepTexts(stacked(contexts), { signal });
    this.unet = unet;
    this.contexts = contexts;
    return this.kept;
  }

  [Symbol.dispose](): void {
    this.kept?.[Symbol.dispose]();
    this.kept = undefined;
  }
}

/** `[1, T, D]` each to `[N, T, D]`. */
function stacked(tensors: readonly Tensor[]): Tensor {
  const [first] = tensors as [Tensor];
  const data = new Float32Array(first.size * tensors.length);
  tensors.forEach((tensor, i) => {
    data.set(tensor.data, i * first.size);
  });
  return Tensor.from(data, [tensors.length, ...first.shape.slice(1)]);
}
