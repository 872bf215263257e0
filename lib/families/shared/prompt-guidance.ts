/**
 * Encoding of prompts with A1111's syntax to the conditioning of each evaluation: prompt editing and alternation change
 * it between evaluations, AND and regions give it several positive prompts.
 *
 * Reference: A1111 `modules/prompt_parser.py` (`reconstruct_multicond_batch`) and `modules/sd_samplers_cfg_denoiser.py`.
 */
import type { Encoding, PromptEncoder } from '../../conditioning/prompt-encoder.js';
import {
  type ScheduledText,
  schedulePrompt,
  splitAtAnd,
  textAtEvaluation,
} from '../../conditioning/prompt-schedule.js';
import type { GuidancePhase, GuidanceSchedule, WeightedConditioning } from '../../sampling/guidance.js';
import type { Conditioning } from '../../sampling/network.js';
import { Tensor } from '../../tensor/tensor.js';
import type { EncodeRequest, RegionRequest } from './loaded-model.js';

/** A part of the positive prompts with its texts over time. */
interface PositivePart {
  readonly texts: readonly ScheduledText[];
  readonly weight: number | Tensor;
}

/**
 * Encodes the prompts of a pass. Each distinct text is encoded once.
 * @param toConditioning converts an encoded text to the network's conditioning
 * @throws NOT_FINITE, ABORTED, DISPOSED, errors of running a text encoder
 */
export async function encodePrompts(
  encoder: PromptEncoder,
  { prompt, negative, text, evaluations, regions = [] }: EncodeRequest,
  toConditioning: (encoding: Encoding) => Conditioning,
  signal: AbortSignal | undefined,
): Promise<GuidanceSchedule> {
  const parts = positiveParts(prompt, regions).map(
    ({ text: part, weight }): PositivePart => ({ texts: schedulePrompt(part, evaluations), weight }),
  );
  const negatives = schedulePrompt(negative, evaluations);
  const isEmpty = negatives.every((entry) => entry.text === '');
  const encodings = new Map<string, Promise<Encoding>>();
  const encode = (kind: 'positive' | 'negative', value: string): Promise<Encoding> => {
    // Models that encode an empty negative prompt as zeros do so only if it is empty at every evaluation.
    const asNegative = kind === 'negative' && isEmpty;
    return memoized(encodings, `${asNegative} ${value}`, () =>
      asNegative ? encoder.encodeNegative(value, text, signal) : encoder.encode(value, text, signal),
    );
  };
  const conditionings = new Map<string, Promise<Conditioning>>();
  const phaseAt = async (until: number): Promise<GuidancePhase> => {
    const current = parts.map(({ texts }) => textAtEvaluation(texts, until));
    const positives = await inTurn(current, (value) => encode('positive', value));
    const negativeText = textAtEvaluation(negatives, until);
    const base = await encode('negative', negativeText);
    const chunks = Math.max(...positives.map((positive) => positive.chunks));
    const total = Math.max(chunks, base.chunks);
    // Equal texts of equal length share their conditioning, which the network then evaluates as one branch.
    const shared = (kind: string, value: string, make: () => Promise<Encoding>): Promise<Conditioning> =>
      memoized(conditionings, `${kind} ${chunks} ${total} ${value}`, async () =>
        toConditioning(await make()),
      );
    return {
      until,
      positives: await inTurn(
        parts,
        async ({ weight }, i): Promise<WeightedConditioning> => ({
          weight,
          conditioning: await shared('positive', current[i]!, async () => {
            const repeated = withLastRepeated(positives[i]!, chunks);
            return (await encoder.align(repeated, base, text, signal)).positive;
          }),
        }),
      ),
      negative: await shared('negative', negativeText, async () => {
        const longest = withLastRepeated(positives[0]!, chunks);
        return (await encoder.align(longest, base, text, signal)).negative;
      }),
    };
  };
  const [first, ...rest] = await inTurn(boundaries([...parts.map(({ texts }) => texts), negatives]), phaseAt);
  return [first!, ...rest];
}

/**
 * Returns the texts joined by AND with their weights. Regions limit their prompts to a mask and the main prompt to the
 * rest; where masks overlap, they share the area in proportion. Prompts without any area are omitted.
 */
function positiveParts(
  prompt: string,
  regions: readonly RegionRequest[],
): { readonly text: string; readonly weight: number | Tensor }[] {
  const [first] = regions;
  if (!first) return splitAtAnd(prompt);
  const { shape, size } = first.mask;
  const sum = new Float32Array(size);
  for (const { mask } of regions) for (let i = 0; i < size; i++) sum[i]! += mask.data[i]!;
  const shares = [
    { prompt, mask: sum.map((covered) => 1 - Math.min(1, covered)) },
    ...regions.map((region) => ({
      prompt: region.prompt,
      mask: region.mask.data.map((value, i) => value / Math.max(1, sum[i]!)),
    })),
  ];
  const visible = shares.filter(({ mask }) => mask.some((value) => value !== 0));
  return visible.flatMap(({ prompt: text, mask }) =>
    splitAtAnd(text).map((part) => ({
      text: part.text,
      weight: Tensor.from(
        mask.map((value) => value * part.weight),
        shape,
      ),
    })),
  );
}

/** Returns the last evaluation of each phase in which no text changes, ascending. */
function boundaries(schedules: readonly (readonly ScheduledText[])[]): number[] {
  const all = new Set(schedules.flatMap((texts) => texts.map(({ until }) => until)));
  return [...all].sort((a, b) => a - b);
}

/** Repeats the last vector of the shorter parts of a prompt, as A1111 does for prompts joined by AND. */
function withLastRepeated(encoding: Encoding, chunks: number): Encoding {
  if (encoding.chunks === chunks) return encoding;
  const [, tokens = 0, width = 0] = encoding.context.shape;
  const length = (tokens / encoding.chunks) * chunks;
  const data = new Float32Array(length * width);
  data.set(encoding.context.data);
  const last = encoding.context.data.subarray(-width);
  for (let token = tokens; token < length; token++) data.set(last, token * width);
  return { ...encoding, context: Tensor.from(data, [1, length, width]), chunks };
}

function memoized<T>(known: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const value = known.get(key) ?? make();
  known.set(key, value);
  return value;
}

/** Maps items one after the other, so that a failure leaves no other call running. */
async function inTurn<T, R>(items: readonly T[], map: (item: T, i: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const [i, item] of items.entries()) results.push(await map(item, i));
  return results;
}
