/** `safelight models` and `safelight rm`: list and remove downloaded models. */
import { Command } from 'commander';
import { addCommonOptions, type CommonOptions } from '../model-options.js';
import { bytes, print, printJson, table } from '../output.js';

export function modelsCommand(): Command {
  const command = new Command('models')
    .summary('list downloaded models')
    .description(
      'List the repositories in the Hugging Face cache and the files in the models folder by the names that --model accepts.',
    );
  addCommonOptions(command, 'print only [{"name","source","path","bytes",...}] on stdout');
  return command.action(async ({ json }: CommonOptions) => {
    const { listModels } = await import('../../hub/index.js');
    const models = await listModels();
    if (json) return printJson(models);
    if (models.length === 0)
      return print('No models have been downloaded; `safelight pull owner/name` downloads one.');
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
      'Remove downloaded models from disk. owner/name removes all revisions, owner/name@revision one revision and the files that only it uses.',
    )
    .argument('<model...>', 'names as listed by `safelight models`');
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
