/** `safelight tokenize`: prints the tokens and weights that a model's first text encoder receives. */
import { Command } from 'commander';
import { invalidOption } from '../../errors.js';
import { addCommonOptions, addModelOption, type CommonOptions } from '../model-options.js';
import { print, printJson, table } from '../output.js';

interface Flags extends CommonOptions {
  readonly model?: string;
  readonly raw?: boolean;
}

export function tokenizeCommand(): Command {
  const command = new Command('tokenize')
    .summary('show the tokens of a prompt')
    .description('Show the tokens of a prompt.')
    .argument('<text>', "a prompt in A1111's syntax")
    .option('--raw', 'treat the text literally, without prompt syntax');
  addModelOption(command);
  addCommonOptions(command, 'print only {"chunks":[{"ids","tokens","weights"}]} on stdout');
  return command.action(tokenize);
}

async function tokenize(text: string, { model, raw, json }: Flags): Promise<void> {
  const { promptText } = await import('../../options/settings/condition.js');
  promptText('text', text);
  const { starterModel } = await import('../../checkpoint/open.js');
  const { openModel } = await import('../../families/registry.js');
  const { loadTokenizer } = await import('../../tokenizers/load-tokenizer.js');
  const { chunkPrompt } = await import('../../conditioning/chunks.js');
  const { withoutComments } = await import('../../conditioning/comments.js');
  const { parsePrompt } = await import('../../conditioning/prompt.js');
  const [source] = (await openModel(model ?? starterModel)).textEncoders;
  if (!source) throw invalidOption('--model', 'a model with a text encoder', model);
  const window = source.config.max_position_embeddings;
  const tokenizer = await loadTokenizer(source.tokenizer, { window, padId: source.padId });
  const parts = raw ? [{ kind: 'text' as const, text, weight: 1 }] : parsePrompt(withoutComments(text));
  const chunks = chunkPrompt(tokenizer, parts).map(({ ids, tokens, weights }) => ({ ids, tokens, weights }));
  if (json) return printJson({ chunks });
  for (const [i, { ids, tokens, weights }] of chunks.entries()) {
    if (chunks.length > 1) print(`${i > 0 ? '\n' : ''}Chunk ${i + 1} of ${chunks.length}`);
    // Padding is omitted: the end token is the last one shown.
    const end = ids.indexOf(tokenizer.eos);
    const shown = end < 0 ? ids.length : end + 1;
    print(
      table(
        ['id', 'weight', 'token'],
        ids.slice(0, shown).map((id, j) => [`${id}`, weight(weights[j]!), tokens[j]!]),
      ),
    );
    if (shown < ids.length) print(`and ${ids.length - shown} padding tokens`);
  }
}

function weight(value: number): string {
  return value === 1 ? '1' : value.toFixed(3).replace(/0+$/, '');
}
