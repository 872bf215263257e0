import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The reason why no small disk can be mounted; undefined if it can. */
export const withoutMount: string | undefined = (() => {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' });
    execFileSync('umount', [folder]);
    return undefined;
  } catch {
    return 'mounting a tmpfs takes root';
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
})();
