/**
 * Folder in which the samples of the documentation are compiled and run as a reader would run them: `safelight` is an installed package,
 * `npx safelight` is the compiled command line, and port 7860 is that of a server that the test starts.
 */
import { execFileSync, fork, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from '../../package/npm.js';
import { MAIN } from '../cli.js';
import { freePort } from '../free-port.js';
import type { Sample } from './extract-samples.js';
import { writeSampleFiles } from './sample-files.js';

const RUNNER = fileURLToPath(new URL('run-modules.mjs', import.meta.url));
/** The port of the documentation. */
const PORT = /\b(localhost|127\.0\.0\.1):7860\b/g;

export interface Outcome {
  readonly name: string;
  /** Undefined if the sample ran to its end. */
  readonly error: string | undefined;
}

export class SampleProject {
  readonly folder = mkdtempSync(join(tmpdir(), 'safelight-docs-'));
  private readonly environment: NodeJS.ProcessEnv;

  private constructor() {
    const modules = join(this.folder, 'node_modules');
    mkdirSync(modules);
    for (const name of readdirSync(join(root, 'node_modules')))
      if (!name.startsWith('.'))
        symlinkSync(join(root, 'node_modules', name), join(modules, name), 'junction');
    symlinkSync(root, join(modules, 'safelight'), 'junction');
    writeFileSync(join(this.folder, 'package.json'), '{ "private": true, "type": "module" }');
    this.writeCommands();
    this.environment = {
      ...process.env,
      PATH: `${this.path('bin')}:${process.env.PATH}`,
      HOME: this.path('home'),
      XDG_CACHE_HOME: this.path('home/.cache'),
      HF_HUB_OFFLINE: '1',
      // Node.js 22 and newer compile the package once for all commands.
      NODE_COMPILE_CACHE: this.path('compiled'),
      NODE_OPTIONS: '',
    };
  }

  static async create(): Promise<SampleProject> {
    const project = new SampleProject();
    mkdirSync(project.path('home'));
    await writeSampleFiles(project.path('files'));
    return project;
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /**
   * Type-checks and compiles all modules in one run.
   * @returns TypeScript's complaints, each with its page and line of the documentation; empty if there are none
   */
  compile(samples: readonly Sample[]): string {
    const places = new Map<string, Sample>();
    for (const sample of samples) {
      const source = `${moduleName(sample)}.${sample.language}`;
      places.set(source, sample);
      mkdirSync(dirname(this.path('src', source)), { recursive: true });
      // Every sample has names of its own, also one that imports nothing.
      const scope =
        sample.language === 'cjs' || /^(?:import|export)\b/m.test(sample.code) ? '' : 'export {};';
      writeFileSync(this.path('src', source), `${sample.code}${scope}`);
    }
    const compilerOptions = {
      ...{
        target: 'es2022',
        module: 'nodenext',
        lib: ['es2023', 'esnext.disposable', 'dom'],
        types: ['node'],
      },
      ...{ strict: true, skipLibCheck: true, allowJs: true, checkJs: true, rootDir: 'src', outDir: 'out' },
    };
    const files = [...places.keys()].map((source) => `src/${source}`);
    writeFileSync(this.path('tsconfig.json'), JSON.stringify({ compilerOptions, files }));
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    try {
      execFileSync(process.execPath, [compiler, '--pretty', 'false'], { cwd: this.folder, encoding: 'utf8' });
      return '';
    } catch (error) {
      const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
      return (stdout + stderr).replace(/^src\/(\S+?)\((\d+),/gm, (all, source: string, line: string) => {
        const sample = places.get(source);
        return sample ? `${sample.page}:${sample.lines[Number(line) - 1]} (column ` : all;
      });
    }
  }

  /** Runs the compiled modules of a page in one process, one after the other. @param port of the server that stands for port 7860 */
  async runModules(page: string, samples: readonly Sample[], port: number): Promise<Outcome[]> {
    const files = new Map(samples.map((sample) => [this.compiled(sample, port), sample.name]));
    const child = fork(RUNNER, [...files.keys()], {
      cwd: this.folderOf(page),
      env: this.environment,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: [],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => (output += data));
    const outcomes: Outcome[] = [];
    child.on('message', (message) => {
      const { file, error } = message as { file: string; error?: string };
      outcomes.push({ name: files.get(file)!, error });
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    const ended = new Set(outcomes.map(({ name }) => name));
    const left = [...files.values()].filter((name) => !ended.has(name));
    if (left.length > 0 || code !== 0)
      outcomes.push({
        name: left[0] ?? page,
        error: `the process ended with ${code}: ${output.slice(-2000)}`,
      });
    return outcomes;
  }

  /** Runs a script with bash. A server that it starts is ready for its next line, and ends with it. */
  async runScript(sample: Sample, port: number): Promise<Outcome> {
    const state = mkdtempSync(this.path('state-'));
    const own = /^\s*(?:npx )?safelight serve\b/m.test(sample.code) ? await freePort() : port;
    const env = { ...this.environment, SAMPLE_STATE: state, SAMPLE_PORT: String(own) };
    const code = `set -eo pipefail\n${sample.code.replace(PORT, `127.0.0.1:${own}`)}`;
    const child = spawn('bash', ['-c', code], {
      cwd: this.folderOf(sample.page),
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
    const status = await new Promise((resolve) => child.on('close', resolve));
    stopServer(state);
    return {
      name: sample.name,
      error: status === 0 ? undefined : `exit code ${status}: ${output.slice(-2000)}`,
    };
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  /** The folder in which the samples of a page run, with the files that they name. */
  private folderOf(page: string): string {
    const folder = this.path('pages', basename(page, '.md'));
    if (!existsSync(folder)) {
      cpSync(this.path('files'), folder, { recursive: true, verbatimSymlinks: true });
      for (const name of ['bench', 'dist', 'scripts'])
        symlinkSync(join(root, name), join(folder, name), 'junction');
    }
    return folder;
  }

  private compiled(sample: Sample, port: number): string {
    const path = this.path('out', `${moduleName(sample)}.${sample.language === 'cjs' ? 'cjs' : 'js'}`);
    const code = readFileSync(path, 'utf8');
    if (PORT.test(code)) writeFileSync(path, code.replace(PORT, `127.0.0.1:${port}`));
    return path;
  }

  /** Writes the commands that stand for `npx`, `safelight` and `curl`. */
  private writeCommands(): void {
    const curl = execFileSync('bash', ['-c', 'command -v curl'], { encoding: 'utf8' }).trim();
    const commands = {
      curl: `exec ${curl} --fail-with-body "$@"`,
      npm: 'echo "a sample that runs npm needs no-run" >&2; exit 1',
      npx: `[ "$1" = safelight ] || { echo "npx $1 is not what a sample may run" >&2; exit 1; }\nshift\nexec safelight "$@"`,
      safelight: `[ "$1" = serve ] || exec "${process.execPath}" "${MAIN}" "$@"
case " $* " in *" --help "*) exec "${process.execPath}" "${MAIN}" "$@" ;; esac
[ ! -f "$SAMPLE_STATE/server" ] || { kill "$(cat "$SAMPLE_STATE/server")"; sleep 0.2; }
data=$(mktemp -d "$SAMPLE_STATE/data-XXXX")
"${process.execPath}" "${MAIN}" "$@" --port "$SAMPLE_PORT" --data "$data" >"$data/log" 2>&1 &
echo $! >"$SAMPLE_STATE/server"
for _ in $(seq 300); do
  ! ${curl} -sf "127.0.0.1:$SAMPLE_PORT/health/live" >/dev/null || exit 0
  kill -0 $! 2>/dev/null || break
  sleep 0.1
done
cat "$data/log" >&2
exit 1`,
    };
    mkdirSync(this.path('bin'));
    for (const [name, text] of Object.entries(commands))
      writeFileSync(this.path('bin', name), `#!/usr/bin/env bash\n${text}\n`, { mode: 0o755 });
  }
}

/** The path of a sample's module below the folder of sources. */
function moduleName({ page, line }: Sample): string {
  return `${basename(page, '.md')}/line-${line}`;
}

function stopServer(state: string): void {
  const file = join(state, 'server');
  if (!existsSync(file)) return;
  try {
    process.kill(Number(readFileSync(file, 'utf8')), 'SIGKILL');
  } catch {
    // It has ended.
  }
}
