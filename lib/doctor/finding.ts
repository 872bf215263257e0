/** Findings of the doctor: one or several per check, printed as rows and as JSON. */

/** `fault`: something fails until it is repaired. `warning`: something is limited, or may fail later. */
export type FindingStatus = 'ok' | 'warning' | 'fault';

/** Names of the checks, in the order of the report. */
export const checkNames = [
  ...(['system', 'cpu', 'binaries', 'backends', 'memory', 'disk'] as const),
  ...(['caches', 'locks', 'models', 'starter', 'tokenizers', 'packages', 'port'] as const),
] as const;
export type CheckName = (typeof checkNames)[number];

export interface Finding {
  readonly check: CheckName;
  readonly status: FindingStatus;
  /** One sentence without a full stop. */
  readonly message: string;
  /** Further facts, one per line. */
  readonly details: readonly string[];
  /** The same facts for programs; the keys of each check are listed in docs/doctor.md. */
  readonly data: Readonly<Record<string, unknown>>;
  /** The command that repairs it; present for every fault. */
  readonly command?: string;
}

/** The report of all checks. */
export interface DoctorReport {
  /** The worst status of the findings. */
  readonly status: FindingStatus;
  /** Version of Safelight. */
  readonly version: string;
  /** In the order of `checkNames`. */
  readonly findings: readonly Finding[];
}

/** A finding without the name of its check, which the runner adds. */
export type Result = Omit<Finding, 'check'>;

interface Facts {
  readonly details?: readonly string[];
  readonly data?: Readonly<Record<string, unknown>>;
}

export function ok(message: string, { details = [], data = {} }: Facts = {}): Result {
  return { status: 'ok', message, details, data };
}

export function warning(message: string, command: string | undefined, facts: Facts = {}): Result {
  const { details = [], data = {} } = facts;
  return { status: 'warning', message, details, data, ...(command === undefined ? {} : { command }) };
}

export function fault(message: string, command: string, { details = [], data = {} }: Facts = {}): Result {
  return { status: 'fault', message, details, data, command };
}

/** Returns the worst status of some findings; `ok` if there are none. */
export function worst(findings: readonly Pick<Finding, 'status'>[]): FindingStatus {
  const has = (status: FindingStatus) => findings.some((finding) => finding.status === status);
  return has('fault') ? 'fault' : has('warning') ? 'warning' : 'ok';
}

/** Returns the message of an error, or its code and message for an error of the system, without line breaks. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replaceAll(/\s*\n\s*/g, ' ').trim();
}

/** Returns `1 file`, `2 files`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
