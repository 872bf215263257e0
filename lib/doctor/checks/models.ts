/** Checks the headers of the files in the models folder; weights are not read. */
import { join } from 'node:path';
import { openWeights } from '../../checkpoint/formats/open-weights.js';
import { SafelightError } from '../../errors.js';
import { adapterFolders, type FoundModel, findModels, upscalerFolders } from '../../hub/find-models.js';
import type { DoctorEnvironment } from '../environment.js';
import { counted, fault, ok, type Result, reasonOf } from '../finding.js';
import { folderState, usedFolder } from '../folders.js';
import { quoted } from '../installed.js';
import { incompleteFolder } from './starter.js';

/** Milliseconds after which the remaining files are not examined. */
const PATIENCE = 20_000;
const SHOWN = 10;

interface Broken {
  readonly path: string;
  readonly file: string;
  readonly reason: string;
}

export async function checkModels(environment: DoctorEnvironment): Promise<readonly Result[]> {
  const { path } = usedFolder(environment, 'models');
  const state = await folderState(path);
  if (!state.exists) return [ok(`There is no models folder ${quoted(path)}`, { data: { path, models: 0 } })];
  const skipped: Broken[] = [];
  const found = await modelsIn(path, skipped);
  const until = Date.now() + PATIENCE;
  const broken: Broken[] = [...skipped];
  let examined = 0;
  for (const model of found) {
    if (Date.now() > until) break;
    examined++;
    const reason = await problemOf(model);
    if (reason !== undefined) broken.push({ path: model.path, file: model.file, reason });
  }
  const unexamined = found.length - examined;
  const details = [
    ...broken.slice(0, SHOWN).map(({ file, reason }) => `${file}: ${reason}`),
    ...(broken.length > SHOWN ? [`and ${broken.length - SHOWN} more`] : []),
    ...(unexamined > 0 ? [`${counted(unexamined, 'model')} not examined within ${PATIENCE / 1000} s`] : []),
  ];
  const facts = { details, data: { path, models: found.length, unexamined, broken } };
  const total = `${counted(found.length, 'model')} in ${quoted(path)}`;
  const [first] = broken;
  if (!first) return [ok(total, facts)];
  const message = `${counted(broken.length, 'file')} of ${quoted(path)} cannot be used`;
  const command = `npx safelight inspect ${quoted(first.path)}`;
  return [ok(total, { data: { path, models: found.length } }), fault(message, command, facts)];
}

/** Returns the models, adapters and upscalers below a folder. */
async function modelsIn(path: string, skipped: Broken[]): Promise<readonly FoundModel[]> {
  const folders = ['', ...new Set([...Object.values(adapterFolders), ...upscalerFolders])];
  const all = await Promise.all(
    folders.map((name) =>
      findModels(join(path, name), (file, reason) =>
        skipped.push({ path: join(path, name, file), file: join(name, file), reason }),
      ).catch((): FoundModel[] => []),
    ),
  );
  return all.flatMap((models, i) =>
    models.map((model) => ({ ...model, file: join(folders[i]!, model.file) })),
  );
}

/** Returns the reason why a model cannot be opened, judged by its headers. */
async function problemOf({ path, form }: FoundModel): Promise<string | undefined> {
  try {
    if (form === 'folder') return await incompleteFolder(path);
    await openWeights(path);
    return undefined;
  } catch (error) {
    // A well-formed file of another kind, such as an optimizer's state.
    if (error instanceof SafelightError && error.code === 'UNSUPPORTED_MODEL') return undefined;
    return reasonOf(error).replace(`${path} `, '');
  }
}
