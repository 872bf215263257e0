/** Checks the tokenizers: that of the starter model, and CLIP's standard one, which single files use. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { Tokenizer } from '../../tokenizers/tokenizer.js';
import type { DoctorEnvironment } from '../environment.js';
import { fault, ok, type Result, reasonOf } from '../finding.js';
import { isClone, reinstall } from '../installed.js';
import { repairStarter } from './starter.js';

/** The merges of CLIP's standard vocabulary in Safelight's package (tokenizers/vocabulary.ts). */
const MERGES = 'dist/clip-merges.txt.br';

export async function checkTokenizers(environment: DoctorEnvironment): Promise<readonly Result[]> {
  const results = [await starterTokenizer(environment), await standardTokenizer(environment)].flat();
  const faults = results.filter(({ status }) => status !== 'ok');
  if (faults.length > 0) return faults;
  const data = Object.assign({}, ...results.map((result) => result.data)) as Record<string, unknown>;
  return [ok('The tokenizers are complete', { details: results.map(({ message }) => message), data })];
}

async function starterTokenizer(environment: DoctorEnvironment): Promise<readonly Result[]> {
  const model = environment.bundled('starter');
  if (model === undefined) return []; // reported by the check of the bundled models
  const folder = join(model, 'tokenizer');
  const problem = await problemOf(folder);
  if (problem === undefined) return [ok(`starter: ${folder}`, { data: { starter: folder } })];
  return [
    fault(
      `The tokenizer of the starter model cannot be used: ${problem}`,
      repairStarter(environment, model),
      {
        data: { folder },
      },
    ),
  ];
}

async function problemOf(folder: string): Promise<string | undefined> {
  if (!existsSync(folder)) return `the folder ${folder} does not exist`;
  try {
    const tokenizer = await Tokenizer.fromFiles(folder);
    return tokenizer.encode('a red apple').length > 0 ? undefined : 'it encodes no text';
  } catch (error) {
    return reasonOf(error).replace('; the model folder is incomplete: download it again', '');
  }
}

async function standardTokenizer(environment: DoctorEnvironment): Promise<readonly Result[]> {
  const { packageFolder } = environment;
  const file = join(packageFolder, MERGES);
  try {
    await promisify(brotliDecompress)(await readFile(file));
    return [ok(`standard: ${file}`, { data: { standard: file } })];
  } catch (error) {
    const message = `CLIP's standard tokenizer, which single files use, cannot be used: ${reasonOf(error)}`;
    const command = isClone(environment) ? 'npm run prepare' : reinstall(environment, packageFolder);
    return [fault(message, command, { data: { file } })];
  }
}
