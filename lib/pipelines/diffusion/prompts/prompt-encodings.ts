/** Conditioning from encodings passed by the caller instead of prompts. */
import type { TextSettings } from '../../../conditioning/prompt-encoder.js';
import { conditioningOf } from '../../../families/shared/guidance-schedule.js';
import type { LoadedModel } from '../../../families/shared/loaded-model.js';
import { constantSchedule, type GuidanceSchedule } from '../../../sampling/guidance.js';
import { checkEncoding, checkPair } from '../check-encoding.js';

/**
 * Validates encodings and aligns their lengths. Without a negative one, the empty prompt is encoded.
 * @throws INVALID_OPTION, SHAPE_MISMATCH, NOT_FINITE, ABORTED, DISPOSED, and errors of loading a text encoder
 */
export async function alignEncodings(
  loaded: LoadedModel,
  given: { readonly positive?: unknown; readonly negative?: unknown },
  text: TextSettings,
  { prefix = '', signal }: { readonly prefix?: string; readonly signal: AbortSignal | undefined },
): Promise<GuidanceSchedule> {
  const encoder = await loaded.promptEncoder(signal);
  const { facts } = loaded;
  const { window } = encoder;
  const positive = checkEncoding(`${prefix}positive`, given.positive, facts, window);
  const negative =
    given.negative === undefined
      ? await encoder.encodeNegative('', text, signal)
      : checkEncoding(`${prefix}negative`, given.negative, facts, window);
  checkPair(positive, negative, window);
  const aligned = await encoder.align(positive, negative, text, signal);
  return constantSchedule(conditioningOf(aligned.positive), conditioningOf(aligned.negative));
}
