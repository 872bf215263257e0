/** The process of the checks: what it sends is reported, whatever happens to it. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { collect } from '../../lib/doctor/doctor.js';
import { checkNames } from '../../lib/doctor/finding.js';

const folder = mkdtempSync(join(tmpdir(), 'safelight-doctor-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Starts a process that sends the findings of the check of the system and then runs some code. */
function start(code: string): ChildProcess {
  const file = join(folder, 'child.mjs');
  const finding = { check: 'system', status: 'ok', message: 'sound', details: [], data: {} };
  writeFileSync(file, `process.send(${JSON.stringify({ check: 'system', findings: [finding] })});\n${code}`);
  return fork(file, { execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
}

describe('collect', () => {
  it('reports the checks that take too long, and ends the process', async () => {
    const child = start('setTimeout(() => undefined, 600_000); for (;;);');
    const findings = await collect(child, (check) => (check === 'system' ? 60_000 : 3000));
    expect(findings.map(({ check }) => check)).toEqual(checkNames);
    expect(findings[0]?.message).toBe('sound');
    expect(findings.at(-1)).toMatchObject({
      ...{ check: 'port', status: 'warning' },
      message: 'The check of port did not finish within 3 s',
    });
    expect(child.killed).toBe(true);
  });

  it('reports the checks that a crash has prevented', async () => {
    const findings = await collect(start("setTimeout(() => process.kill(process.pid, 'SIGKILL'), 100);"));
    expect(findings).toHaveLength(checkNames.length);
    expect(findings[1]?.message).toBe('The check of cpu did not finish (SIGKILL)');
  });

  it('reports the message of an error that ends the process', async () => {
    const findings = await collect(start("throw new TypeError('broken');"));
    expect(findings.at(-1)?.message).toMatch(
      /^The check of port did not finish \(exit code 1: TypeError: broken\)$/,
    );
  });
});
