/** Prompts where a single text is needed: tokenization, `encodeText`, attention maps. */
import { modelEmbedding } from '../../../adapters/embeddings/model-embedding.js';
import { withoutComments } from '../../../conditioning/comments.js';
import type { Emphasis } from '../../../conditioning/emphasis.js';
import { extractTags } from '../../../conditioning/network-tags.js';
import { promptTexts, schedulePrompt, splitAtAnd } from '../../../conditioning/prompt-schedule.js';
import type { TokenEmbedding } from '../../../conditioning/token-embeddings.js';
import type { LoadedModel } from '../../../families/shared/loaded-model.js';
import type { Warnings } from '../../../warnings.js';
import type { PromptFiles } from '../../prompt-files.js';

export interface SingleText {
  readonly text: string;
  /** Embeddings that the text contains. */
  readonly embeddings: readonly TokenEmbedding[];
}

/** Steps of a schedule whose first text is needed only; every fraction above 0 begins later. */
const STEPS = { steps: 1000 };

/** Returns the text of a prompt at the first evaluation: without comments and tags, and up to the first AND. */
export function firstText(full: string, { negative = false }: { readonly negative?: boolean } = {}): string {
  const prompt = withoutComments(full);
  const text = negative ? prompt : splitAtAnd(extractTags(prompt).text)[0]!.text;
  return schedulePrompt(text, STEPS)[0]!.text;
}

/**
 * Returns the first text of a prompt with its embeddings.
 * @throws errors of loading a text encoder, and of reading an embedding
 */
export async function singleText(
  loaded: LoadedModel,
  prompt: string,
  options: {
    readonly emphasis: Emphasis;
    readonly files: PromptFiles;
    readonly negative?: boolean;
    readonly signal?: AbortSignal | undefined;
    /** Receives a warning if the prompt has further texts or tags. */
    readonly warnings?: Warnings;
  },
): Promise<SingleText> {
  const { emphasis, files, negative = false, signal, warnings } = options;
  const text = firstText(prompt, { negative });
  const uncommented = withoutComments(prompt);
  const { text: untagged, tags } = extractTags(uncommented);
  const texts = promptTexts(negative ? uncommented : untagged, STEPS, { negative });
  if (texts.length > 1 || (!negative && tags.length > 0))
    warnings?.add(
      'PROMPT_SYNTAX',
      'Only the first text of the prompt is encoded, without tags of LoRAs; generate uses all of it',
    );
  const folder = files.embeddings;
  const names = ((await folder?.listIfPresent()) ?? []).map(({ name }) => name);
  if (names.length === 0) return { text, embeddings: [] };
  const encoder = await loaded.promptEncoder(signal);
  const read = async (name: string): Promise<TokenEmbedding> =>
    modelEmbedding(await folder!.read(name), encoder.widths);
  const { used } = await encoder.findEmbeddings([text], emphasis, { names, read });
  return { text, embeddings: used };
}
