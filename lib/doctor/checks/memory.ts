/** Checks whether the models fit into memory. */
import { shownBytes } from '../../modules/memory-fit.js';
import type { DoctorEnvironment, SystemMemory } from '../environment.js';
import { fault, ok, type Result, warning } from '../finding.js';
import { isContainer } from '../gpu-hardware.js';
import { cpuDevices } from './backends.js';

/**
 * Private memory of generating one image, in bytes, as measured in docs/memory.md; SDXL's is the size of its f16
 * weights and of the buffers that decode 1024 x 1024 pixels.
 */
const NEEDS = [
  { model: 'the starter', mode: 'balanced', bytes: 112e6 },
  { model: 'SD1.5 at 512 x 512', mode: 'lean', bytes: 268e6 },
  { model: 'SD1.5 at 512 x 512', mode: 'balanced', bytes: 3064e6 },
  { model: 'SDXL at 1024 x 1024', mode: 'balanced', bytes: 9.6e9 },
] as const;
const [STARTER, SD1_LEAN] = NEEDS;

export async function checkMemory(environment: DoctorEnvironment): Promise<readonly Result[]> {
  const memory = environment.memory();
  const { total, limit } = memory;
  const available = await availableBytes(environment, memory);
  const fits = NEEDS.map((need) => ({ ...need, fits: need.bytes <= available }));
  const details = fits.map(
    ({ model, mode, bytes, fits: isEnough }) =>
      `${model}, --memory ${mode}: ${shownBytes(bytes)}, ${isEnough ? 'fits' : 'does not fit'}`,
  );
  const facts = { details, data: { available, total, limit: limit ?? null, needs: fits } };
  const ofTotal =
    limit === undefined
      ? `${shownBytes(available)} of ${shownBytes(total)} memory are available`
      : `${shownBytes(available)} of the limit of ${shownBytes(limit)} memory are available`;
  const command = freeMemoryCommand(environment, memory);
  if (available < STARTER.bytes)
    return [fault(`${ofTotal}, the starter model needs ${shownBytes(STARTER.bytes)}`, command, facts)];
  if (available < SD1_LEAN.bytes)
    return [warning(`${ofTotal}, SD1.5 needs at least ${shownBytes(SD1_LEAN.bytes)}`, command, facts)];
  return [ok(ofTotal, facts)];
}

/**
 * In a container, Node.js counts cached file pages as used. The native binary does not, and its figure decides what is
 * refused.
 */
async function availableBytes(
  environment: DoctorEnvironment,
  { available, limit }: SystemMemory,
): Promise<number> {
  if (limit === undefined) return available;
  const [device] = await cpuDevices(environment);
  return Math.min(limit, Math.max(device?.memory.free ?? 0, available));
}

function freeMemoryCommand(environment: DoctorEnvironment, { limit }: SystemMemory): string {
  if (limit !== undefined && isContainer(environment))
    return 'docker update --memory 4g --memory-swap 4g CONTAINER';
  if (environment.platform === 'win32') return 'tasklist /fi "memusage gt 500000"';
  return environment.platform === 'darwin'
    ? 'top -l 1 -o mem -n 10'
    : 'ps -eo pid,rss,comm --sort=-rss | head';
}
