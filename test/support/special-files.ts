/** FIFOs and devices of a test's own folder. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export function makeFifo(path: string): string {
  execFileSync('mkfifo', [path]);
  return path;
}

/** A device like /dev/null. The machine's own is never used: a fault would replace it. */
export function makeNullDevice(path: string): string {
  execFileSync('mknod', [path, 'c', '1', '3'], { stdio: 'ignore' });
  return path;
}

/** Why devices cannot be made here; undefined where they can. */
export const withoutDevices: string | undefined = (() => {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-device-'));
  try {
    makeNullDevice(join(folder, 'null'));
    return undefined;
  } catch {
    return 'making a device takes root and CAP_MKNOD';
  } finally {
    rmSync(folder, { recursive: true });
  }
})();

export const withoutFifos: string | undefined =
  process.platform === 'win32' ? 'Windows has no FIFOs' : undefined;
