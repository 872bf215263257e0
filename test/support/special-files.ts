/** FIFOs and devices in a test's folder. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export function makeFifo(path: string): string {
  execFileSync('mkfifo', [path]);
  return path;
}

/** A device like /dev/null. The machine's own is never used, because a fault would replace it. */
export function makeNullDevice(path: string): string {
  execFileSync('mknod', [path, 'c', '1', '3'], { stdio: 'ignore' });
  return path;
}

/** The reason why devices cannot be created here; undefined if they can. */
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
