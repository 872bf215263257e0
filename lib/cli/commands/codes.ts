/** `safelight codes`: a picture's codes as JSON, and back. */
import { readFile, stat } from 'node:fs/promises';
import { Command } from 'commander';
import { SafelightError } from '../../errors.js';
import type { CodeGrid } from '../../pipelines/vqgan/grid.js';
import { UsageError } from '../failure.js';
import { addCommonOptions, given } from '../model-options.js';
import { checkInput, checkOutput, print, printJson } from '../output.js';
import { checkImageOutput } from '../save-images.js';
import { addSizeOptions, addVqganModelOptions, type SizeFlags, type VqganFlags } from '../vqgan-options.js';
import { namedAfter, reportImage, withVqgan } from './vqgan-command.js';

interface Flags extends VqganFlags, SizeFlags {
  readonly output?: string;
  readonly decode?: boolean;
}

/** A picture of 2^26 pixels at a factor of 4 has 2^22 codes of at most eight characters. */
const MAX_JSON = 2 ** 26;

export function codesCommand(): Command {
  const command = new Command('codes')
    .summary("print a picture's codes, or make the picture of codes")
    .description(
      'Print the codes of a picture as {"codes":[[…]],"usage":{…}}, or with --decode make the picture of such a file.',
    )
    .argument('<file>', 'a picture; with --decode a JSON file with "codes", or of the rows alone')
    .option('--decode', 'make the picture of codes')
    .option(
      '-o, --output <file>',
      'JSON, or with --decode .png, .jpg or .webp, - for stdout; replaced if it exists. Default stdout, or NAME.png, never replaced',
    );
  addSizeOptions(command);
  addVqganModelOptions(command);
  addCommonOptions(command, 'print only JSON on stdout; of --decode {"images":[…],"seconds","warnings"}');
  return command.action((file: string, flags: Flags) => (flags.decode ? decode : encode)(file, flags));
}

async function encode(file: string, flags: Flags): Promise<void> {
  const { width, height, output, json } = flags;
  await checkInput(file, 'picture');
  if (output !== undefined) await checkOutput(output, json);
  const { value, seconds, warnings } = await withVqgan(flags, ({ pipeline, ...control }) =>
    pipeline.codes(file, given({ width, height, ...control })),
  );
  const { codes, usage } = value;
  if (output === undefined) return printJson({ codes, usage });
  const { writeOutput } = await import('../../files/write.js');
  await writeOutput(output, Buffer.from(`${JSON.stringify({ codes, usage })}\n`));
  if (json) return printJson({ file: output, usage, seconds, warnings });
  print(`${output}  ${codes[0]?.length}x${codes.length} codes, ${usage.used} of ${usage.vocabulary} used`);
}

async function decode(file: string, flags: Flags): Promise<void> {
  const { width, height, output, json } = flags;
  if (width !== undefined || height !== undefined)
    throw new UsageError('--width and --height are of pictures; codes have their size');
  await checkInput(file, 'file of codes');
  await checkImageOutput(output, json);
  const codes = await readCodeIndices(file);
  const { value, seconds, warnings } = await withVqgan(flags, ({ pipeline, signal, onProgress }) =>
    // The pipeline checks all of it.
    pipeline.decodeCodes(codes as CodeGrid, { signal, onProgress }),
  );
  await reportImage({
    picture: value,
    output,
    name: namedAfter(file, ''),
    json,
    seconds,
    warnings,
    facts: {},
    line: '',
  });
}

/** What stands for the codes in a JSON file: its `codes`, or all of it. @throws INVALID_FILE */
async function readCodeIndices(file: string): Promise<unknown> {
  const { size } = await stat(file);
  const fail = (why: string, cause?: unknown) =>
    new SafelightError('INVALID_FILE', `'${file}' holds no codes: ${why}`, { cause });
  if (size > MAX_JSON) throw fail(`its ${size} bytes are more than the ${MAX_JSON} that codes can have`);
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw fail('it is not JSON', error);
  }
  if (Array.isArray(value)) return value;
  if (typeof value === 'object' && value !== null && 'codes' in value && Array.isArray(value.codes))
    return value.codes;
  throw fail('expected {"codes":[[…]]}, as `safelight codes IMAGE` prints it');
}
