/** `safelight doctor`: examines the installation and suggests a command for each fault. */
import { styleText } from 'node:util';
import { Command } from 'commander';
import { counted, type DoctorReport, type Finding, type FindingStatus } from '../../doctor/finding.js';
import type { DoctorOptions } from '../../doctor/options.js';
import { ReportedFailure } from '../failure.js';
import { withoutUndefined } from '../model-options.js';
import { integer } from '../numbers.js';
import { print, printJson } from '../output.js';

interface Flags {
  readonly json?: boolean;
  readonly data?: string;
  readonly models?: string;
  readonly port?: number;
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .summary('find faults of the installation and of this machine')
    .description(
      'Examine this machine and the installation: system, processor, native binaries, devices, memory, disks, caches, locks, models, packages and the port. ' +
        'Each fault is printed with a command that repairs it; the exit code is 1 if there is one. Nothing is changed.',
    )
    .option('--data <folder>', "the server's data folder; default ~/.local/share/safelight")
    .option('--models <folder>', "the server's folder of models; default that of `safelight pull`")
    .option('--port <n>', "the server's port; default 7860", integer('--port', 0, 65_535))
    .option('--json', 'print only {"status","version","findings":[…]} on stdout')
    .option('--verbose', 'print the stack trace of an error')
    .action(examine);
}

async function examine({ json, data, models, port }: Flags): Promise<void> {
  const { doctor } = await import('../../doctor/doctor.js');
  const report = await doctor(withoutUndefined<DoctorOptions>({ data, models, port }));
  if (json) printJson(report);
  else print(format(report, hasColours()));
  if (report.status === 'fault') throw new ReportedFailure('there are faults');
}

const COLOURS = { ok: 'green', warning: 'yellow', fault: 'red' } as const;

/** Formats a report as aligned rows: check, status, message; below them details and the command. */
function format({ version, findings }: DoctorReport, coloured: boolean): string {
  const style = (format: Parameters<typeof styleText>[0], text: string) =>
    coloured ? styleText(format, text) : text;
  const width = Math.max(...findings.map(({ check }) => check.length));
  const indent = ' '.repeat(width + 'warning'.length + 4);
  const lines = [`Safelight ${version}`, ''];
  for (const [i, { check, status, message, details, command }] of findings.entries()) {
    const name = findings[i - 1]?.check === check ? '' : check;
    lines.push(`${name.padEnd(width)}  ${style(COLOURS[status], status.padEnd(7))}  ${message}`);
    for (const detail of details) lines.push(style('dim', indent + detail));
    if (command !== undefined) lines.push(`${indent}run: ${style('bold', command)}`);
  }
  return [...lines, '', summary(findings)].join('\n');
}

function summary(findings: readonly Finding[]): string {
  const count = (status: FindingStatus) => findings.filter((finding) => finding.status === status).length;
  const [faults, warnings] = [count('fault'), count('warning')];
  const parts = [counted(faults, 'fault'), counted(warnings, 'warning')];
  return faults + warnings === 0 ? 'No faults found.' : `${parts.join(', ')}.`;
}

function hasColours(): boolean {
  return process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}
