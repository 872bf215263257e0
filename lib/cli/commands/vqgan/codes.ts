/** `safelight codes`: encodes an image to code indices as JSON, and decodes them. */
import { readFile, stat } from 'node:fs/promises';
import { Command } from 'commander';
import { SafelightError } from '../../../errors.js';
import type { CodeGrid } from '../../../pipelines/vqgan/grid.js';
import { UsageError } from '../../failure.js';
import { addCommonOptions, withoutUndefined } from '../../model-options.js';
import { checkInput, checkOutput, print, printJson } from '../../output.js';
import { checkImageOutput } from '../../save-images.js';
import {
  addSizeOptions,
  addVqganModelOptions,
  type SizeFlags,
  type VqganFlags,
} from '../../vqgan-options.js';
import { namedAfter, reportImage, withVqgan } from './vqgan-command.js';

interface Flags extends VqganFlags, SizeFlags {
  readonly output?: string;
  readonly decode?: boolean;
}

/**
 * Size limit in bytes: an image of 2^26 pixels with a downsample factor of 4 has 2^22 code indices of at most
 * eight characters.
 */
const MAX_JSON = 2 ** 26;

export function codesCommand(): Command {
  const command = new Command('codes')
    .summary('print the code indices of an image, or decode them to an image')
    .description(
      'Print the code indices of an image as {"codes":[[…]],"usage":{…}}, or decode such a file to an image with --decode.',
    )
    .argument('<file>', 'an image; with --decode a JSON file with "codes", or with the rows alone')
    .option('--decode', 'decode code indices to an image')
    .option(
      '-o, --output <file>',
      'JSON file, or with --decode .png, .jpg or .webp, - for stdout; an existing file is replaced. Default stdout, or with --decode a new file NAME.png',
    );
  addSizeOptions(command);
  addVqganModelOptions(command);
  addCommonOptions(command, 'print only JSON on stdout; with --decode {"images":[…],"seconds","warnings"}');
  return command.action((file: string, flags: Flags) => (flags.decode ? decode : encode)(file, flags));
}

async function encode(file: string, flags: Flags): Promise<void> {
  const { width, height, output, json } = flags;
  await checkInput(file, 'image');
  if (output !== undefined) await checkOutput(output, json);
  const { value, seconds, warnings } = await withVqgan(flags, ({ pipeline, ...control }) =>
    pipeline.codes(file, withoutUndefined({ width, height, ...control })),
  );
  const { codes, usage } = value;
  if (output === undefined) return printJson({ codes, usage });
  const { writeOutput } = await import('../../../files/write.js');
  await writeOutput(output, Buffer.from(`${JSON.stringify({ codes, usage })}\n`));
  if (json) return printJson({ file: output, usage, seconds, warnings });
  print(
    `${output}  ${codes[0]?.length}x${codes.length} code indices, ${usage.used} of ${usage.vocabulary} used`,
  );
}

async function decode(file: string, flags: Flags): Promise<void> {
  const { width, height, output, json } = flags;
  if (width !== undefined || height !== undefined)
    throw new UsageError(
      '--width and --height cannot be used with --decode; the size follows from the code indices',
    );
  await checkInput(file, 'file of code indices');
  await checkImageOutput(output, json);
  const codes = await readCodeIndices(file);
  const { value, seconds, warnings } = await withVqgan(flags, ({ pipeline, signal, onProgress }) =>
    // The pipeline validates the code indices.
    pipeline.decodeCodes(codes as CodeGrid, { signal, onProgress }),
  );
  await reportImage({
    image: value,
    output,
    name: namedAfter(file, ''),
    json,
    seconds,
    warnings,
    facts: {},
    line: '',
  });
}

/** Reads code indices from a JSON file: its `codes`, or the whole value if it is an array. @throws INVALID_FILE */
async function readCodeIndices(file: string): Promise<unknown> {
  const { size } = await stat(file);
  const fail = (reason: string, cause?: unknown) =>
    new SafelightError('INVALID_FILE', `'${file}' contains no code indices: ${reason}`, { cause });
  if (size > MAX_JSON) throw fail(`its ${size} bytes exceed the maximum of ${MAX_JSON}`);
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw fail('it is not JSON', error);
  }
  if (Array.isArray(value)) return value;
  if (typeof value === 'object' && value !== null && 'codes' in value && Array.isArray(value.codes))
    return value.codes;
  throw fail('expected {"codes":[[…]]}, the output of `safelight codes IMAGE`');
}
