import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sketchStarter, starterModel } from '../../../lib/index.js';
import {
  type ConfiguredOptions,
  configuredModels,
  type ModelProblem,
} from '../../../lib/jobs/models/configured.js';

describe('the configured models', () => {
  let folder: string;
  let problems: ModelProblem[];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'safelight-models-'));
    problems = [];
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));
  const names = async (options: ConfiguredOptions) =>
    (await configuredModels({ ...options, onProblem: (problem) => problems.push(problem) })).map(
      ({ name }) => name,
    );
  /** Adds the bundled sketch model to the folder under another name. */
  const add = (...path: string[]) => symlink(sketchStarter, join(folder, ...path));

  it('are the bundled ones by default, and none is an error', async () => {
    expect(await names({})).toEqual(['starter', 'sketch']);
    await expect(configuredModels({ starter: false })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await expect(configuredModels({ starter: false, models: folder })).rejects.toThrow(folder);
  });

  it('are the named ones first, then those of the folder, then the bundled ones', async () => {
    await add('drawing');
    await symlink(sketchStarter, join(folder, 'mine'));
    expect(await names({ model: [`first=${join(folder, 'mine')}`], models: folder })).toEqual([
      ...['first', 'drawing', 'starter', 'sketch'],
    ]);
  });

  it('contain a model of the folder once if it is also named', async () => {
    await add('drawing');
    expect(await names({ model: [join(folder, 'drawing')], models: folder, starter: false })).toEqual([
      'drawing',
    ]);
    expect(await names({ model: [`drawing=${sketchStarter}`], models: folder, starter: false })).toEqual([
      'drawing',
    ]);
  });

  it('do not replace a bundled model by one of the folder, which is reported', async () => {
    await symlink(starterModel, join(folder, 'starter'));
    expect(await names({ models: folder })).toEqual(['starter', 'sketch']);
    expect(problems).toMatchObject([{ model: 'starter', offered: false }]);
    expect(await names({ models: folder, starter: false })).toEqual(['starter']);
  });

  it('replace a bundled model by a named one', async () => {
    const models = await configuredModels({ model: [`sketch=${sketchStarter}`] });
    expect(models.filter(({ name }) => name === 'sketch')).toEqual([
      expect.not.objectContaining({ bundled: expect.anything() }),
    ]);
  });

  it('have their path below the folder as name if their own name is that of a bundled model', async () => {
    await add('sketch');
    expect(await names({ models: folder })).toEqual(['sketch/model.safetensors', 'starter', 'sketch']);
    expect(problems).toEqual([]);
  });

  it('report files that cannot be read, which are offered only if they were named', async () => {
    await writeFile(join(folder, 'broken.safetensors'), 'no weights');
    const path = join(folder, 'broken.safetensors');
    expect(await names({ models: folder })).toEqual(['starter', 'sketch']);
    expect(problems).toMatchObject([{ path, offered: false, code: 'INVALID_FILE' }]);
    expect(await names({ model: [path], starter: false })).toEqual(['broken']);
    expect(problems[1]).toMatchObject({ path, offered: true, code: 'INVALID_FILE' });
  });

  it('must exist, unless workers on other machines load them', async () => {
    const model = [`mine=${join(folder, 'none.safetensors')}`];
    await expect(configuredModels({ model })).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    expect(await names({ model, remote: true, starter: false })).toEqual(['mine']);
    expect(problems).toMatchObject([{ model: 'mine', code: 'FILE_NOT_FOUND', offered: true }]);
  });
});
