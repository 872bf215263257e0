/**
 * Probes an addon in child processes: a broken binary or a driver may end the process that loads it. The steps are a
 * generator, so that callers start the processes synchronously or asynchronously.
 */
import { defined } from '../defined.js';
import type { BackendInfo, BackendName } from './types.js';

/** The result of probing an addon. */
export interface AddonReport {
  /** The backend's devices in ggml's order, then those that ggml skips. */
  readonly devices: readonly BackendInfo[];
  /** The reason why the addon cannot be loaded. */
  readonly problem?: string;
}

/** The end of a child process. */
export interface ChildResult {
  readonly stdout: string;
  readonly stderr: string;
  /** Exit code, name of a signal, or another description, for messages. */
  readonly how: string;
}

/**
 * Code of the child process. Prints a line with the devices, then a line for each opened device. Arguments: file,
 * backend, first device.
 */
const CHILD = `
const [file, backend, first] = process.argv.slice(1);
const print = (value) => require('node:fs').writeSync(1, JSON.stringify(value) + '\\n');
try {
  const addon = require(file);
  const devices = addon.backends().filter(({ name }) => name === backend);
  print({ devices, skipped: addon.skippedDevices() });
  devices.forEach(({ device }, index) => {
    if (index < Number(first)) return;
    let problem;
    try { addon.tryDevice(backend, device); } catch (error) { problem = error.message; }
    print({ index, problem });
  });
  print({ done: true });
} catch (error) {
  print({ problem: String(error.message).split('\\n')[0] });
}
process.exit(0);
`;

type ProbedDevice = Omit<BackendInfo, 'opens' | 'problem'>;

interface ProbeResult {
  devices?: readonly ProbedDevice[];
  skipped?: readonly { readonly description: string; readonly reason: string }[];
  /** Problems by index of the devices that were tried; undefined for those that opened. */
  readonly tried: Map<number, string | undefined>;
  problem?: string;
}

/**
 * Probes all devices. If a device ends the child process, that is recorded and another child continues with the next
 * device. Yields the arguments of node for each child process.
 */
export function* probing(
  backend: BackendName,
  file: string,
): Generator<readonly string[], AddonReport, ChildResult> {
  const result: ProbeResult = { tried: new Map() };
  for (let first = 0; ; ) {
    const { done, reason } = readOutput(yield ['-e', CHILD, file, backend, `${first}`], result);
    if (done || result.problem !== undefined) break;
    if (!result.devices) {
      result.problem = `loading it ended the process (${reason})`;
      break;
    }
    first = result.tried.size + 1;
    result.tried.set(first - 1, `opening it ended the process (${reason})`);
    if (first >= result.devices.length) break;
  }
  const { devices = [], skipped = [], tried, problem } = result;
  return {
    devices: [
      ...devices.map((device, index) => deviceInfo(device, tried.get(index), tried.has(index))),
      ...skipped.map(({ description, reason }) => skippedDevice(backend, description, reason)),
    ],
    ...defined({ problem }),
  };
}

/** Returns the environment of the child processes. */
export function probeEnvironment(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...environment } = env;
  return { ...environment, ELECTRON_RUN_AS_NODE: '1', GGML_NO_BACKTRACE: '1' };
}

function readOutput({ stdout, stderr, how }: ChildResult, result: ProbeResult) {
  let done = false;
  for (const line of stdout.split('\n')) {
    if (!line.startsWith('{')) continue; // output of a driver
    const value = JSON.parse(line) as Partial<ProbeResult> & {
      index?: number;
      problem?: string;
      done?: boolean;
    };
    if (value.done) done = true;
    else if (value.index !== undefined) result.tried.set(value.index, value.problem);
    else if (value.devices) Object.assign(result, { devices: value.devices, skipped: value.skipped });
    else if (value.problem !== undefined) result.problem = value.problem;
  }
  const last = stderr.trim().split('\n').at(-1) ?? '';
  return { done, reason: last === '' ? how : `${how}: ${last}` };
}

function deviceInfo(device: ProbedDevice, problem: string | undefined, wasTried: boolean): BackendInfo {
  if (problem === undefined && wasTried) return { ...device, opens: true };
  return { ...device, opens: false, problem: problem ?? 'it was not tried' };
}

function skippedDevice(name: BackendName, description: string, reason: string): BackendInfo {
  return {
    name,
    device: '',
    description,
    type: 'gpu',
    memory: { free: 0, total: 0 },
    opens: false,
    problem: reason,
  };
}
