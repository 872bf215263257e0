/**
 * The command-line program: its commands and error handling. Commands import their dependencies only when they
 * run.
 */
import { Command } from 'commander';
import { packageVersion } from '../package.js';
import { backendsCommand } from './commands/backends.js';
import { buildCommand } from './commands/build.js';
import { convertCommand } from './commands/convert.js';
import { decodeCommand } from './commands/decode.js';
import { doctorCommand } from './commands/doctor.js';
import { encodeCommand } from './commands/encode.js';
import { generateCommand, listSamplers } from './commands/generate.js';
import { gridCommand } from './commands/grid.js';
import { inspectCommand } from './commands/inspect.js';
import { mcpCommand } from './commands/mcp.js';
import { mergeCommand } from './commands/merge.js';
import { modelsCommand, removeCommand } from './commands/models.js';
import { packCommand } from './commands/pack.js';
import { pullCommand } from './commands/pull.js';
import { serveCommand } from './commands/serve.js';
import { tokenizeCommand } from './commands/tokenize.js';
import { upscaleCommand } from './commands/upscale.js';
import { codesCommand } from './commands/vqgan/codes.js';
import { reconstructCommand } from './commands/vqgan/reconstruct.js';
import { sampleCommand, sketchCommand } from './commands/vqgan/sample.js';
import { scoreCommand } from './commands/vqgan/score.js';
import { workerCommand } from './commands/worker.js';
import { EXIT, report } from './failure.js';
import { guardPipes } from './output.js';
import { withSuggestion } from './suggest-flags.js';

/**
 * Runs one command line.
 * @param args arguments without node and the script
 * @returns the exit code; never throws
 */
export async function run(args: readonly string[]): Promise<number> {
  guardPipes();
  const generate = generateCommand();
  // The list of samplers is added only if needed, because it takes longer to load than the rest of the help.
  if (args.includes('generate')) await listSamplers(generate);
  const program = createProgram(generate);
  try {
    await program.parseAsync(args, { from: 'user' });
    return EXIT.done;
  } catch (error) {
    const command = program.commands.find(
      (candidate) => candidate.name() === args.find((arg) => !arg.startsWith('-')),
    );
    return report(withSuggestion(error, command), args.includes('--verbose'));
  }
}

function createProgram(generate: Command): Command {
  const program = new Command('safelight')
    .description('Latent diffusion for Node.js: generate images from text on this machine.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help, also for a single command')
    .helpCommand('help [command]', 'show help for a command')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ safelight generate "a red apple"\n' +
        '  $ safelight generate "a castle at night" --model sd15.safetensors --steps 30 --seed 7 --output castle.png\n' +
        '  $ safelight sketch drawing.png\n' +
        '  $ safelight inspect sd15.safetensors',
    );
  const commands = [
    generate,
    gridCommand(),
    tokenizeCommand(),
    encodeCommand(),
    decodeCommand(),
    reconstructCommand(),
    codesCommand(),
    sampleCommand(),
    sketchCommand(),
    scoreCommand(),
    upscaleCommand(),
    inspectCommand(),
    convertCommand(),
    mergeCommand(),
    packCommand(),
    pullCommand(),
    modelsCommand(),
    removeCommand(),
    serveCommand(),
    mcpCommand(),
    workerCommand(),
    backendsCommand(),
    doctorCommand(),
    buildCommand(),
  ];
  for (const command of commands) program.addCommand(command);
  // Errors are thrown instead of ending the process, so that exit codes are determined in one place.
  for (const command of [program, ...commands]) command.exitOverride().configureOutput(quietErrors);
  return program;
}

/** Disables commander's `error: ...` messages; `report` prints errors after the program's name instead. */
const quietErrors = { outputError: () => undefined };
