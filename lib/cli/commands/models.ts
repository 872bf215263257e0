/** `safelight models` and `safelight rm`: what was downloaded. */
import { Command } from 'commander';
import { addCommonOptions, type CommonOptions } from '../model-options.js';
import { bytes, print, printJson, table } from '../output.js';

export function modelsCommand(): Command {
  const command = new Command('models')
    .summary('list downloaded models')
    .description(
      'List the repositories of the Hugging Face cache and the files of the models folder, by the names that --model takes.',
    );
  addCommonOptions(command, 'print only [{"name","source","path","bytes",...}] on stdout');
  return command.action(async ({ json }: CommonOptions) => {
    const { listModels } = await import('../../hub/index.js');
    const models = await listModels();
    if (json) return printJson(models);
    if (models.length === 0) return print('Nothing yet: `safelight pull owner/name` downloads a model.');
    print(
      table(
        ['model', 'size', 'path'],
        models.map(({ name, bytes: size, path }) => [name, bytes(size), path]),
      ),
    );
  });
}

export function removeCommand(): Command {
  const command = new Command('rm')
    .summary('remove downloaded models')
    .description(
      'Remove downloaded models from disk. owner/name removes all of its revisions, owner/name@revision that one and what only it needs.',
    )
    .argument('<model...>', 'names as `safelight models` lists them');
  addCommonOptions(command, 'print only {"removed":[…],"bytes":…} on stdout');
  return command.action(async (names: readonly string[], { json, quiet }: CommonOptions) => {
    const { removeModel } = await import('../../hub/index.js');
    let freed = 0;
    for (const name of names) {
      const size = await removeModel(name);
      freed += size;
      if (!json && !quiet) print(`${name} removed, ${bytes(size)} freed`);
    }
    if (json) printJson({ removed: names, bytes: freed });
  });
}
