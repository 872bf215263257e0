/** Checks the native binary: each place where it is looked for, and the reason if it cannot be used. */
import { dirname } from 'node:path';
import type { BinaryCandidate } from '../../binding/binaries.js';
import { defined } from '../../defined.js';
import { installSystemPackage } from '../distribution.js';
import type { DoctorEnvironment } from '../environment.js';
import { fault, ok, type Result, warning } from '../finding.js';
import {
  addPackage,
  dependencyRanges,
  findPackage,
  installAll,
  isClone,
  ownVersion,
  readManifest,
  reinstall,
} from '../installed.js';
import { explainFailure, type LoadFailure } from '../load-failure.js';

/** A place after the attempt to load its binary. */
interface Attempt {
  readonly source: string;
  readonly file?: string;
  readonly state: 'loaded' | 'rejected' | 'missing' | 'not tried';
  readonly reason?: string;
}

export async function checkBinaries(environment: DoctorEnvironment): Promise<readonly Result[]> {
  const candidates = environment.binaries('cpu');
  const attempts: Attempt[] = [];
  let failure: { readonly candidate: BinaryCandidate; readonly why: LoadFailure } | undefined;
  let loaded: BinaryCandidate | undefined;
  for (const candidate of candidates) {
    const { source, file, problem } = candidate;
    if (file === undefined || problem !== undefined) {
      const state = file === undefined ? 'missing' : 'rejected';
      attempts.push(defined({ source, file, state, reason: problem ?? 'not found' } as const));
    } else if (loaded !== undefined || failure !== undefined) {
      attempts.push({ source, file, state: 'not tried', reason: 'the one above has precedence' });
    } else {
      const report = await environment.probe('cpu', file);
      if (report.problem === undefined) loaded = candidate;
      else failure = { candidate, why: explainFailure(report.problem) };
      const reason = failure && `${failure.why.text}`;
      attempts.push(defined({ source, file, state: failure ? 'rejected' : 'loaded', reason } as const));
    }
  }
  const facts = { details: lines(attempts), data: { platform: environment.platformName, tried: attempts } };
  if (loaded) {
    const used = ok(`The native binary of ${loaded.source} loads`, facts);
    return [mismatch(environment, loaded, facts) ?? used];
  }
  if (failure) {
    const { candidate, why } = failure;
    const message = `The native binary of ${candidate.source} ${why.text}`;
    return [fault(message, commandFor(environment, candidate, why), facts)];
  }
  const rejected = candidates.find(({ file, problem }) => file !== undefined && problem !== undefined);
  const message = rejected
    ? `The native binary of ${rejected.source} cannot be used: ${rejected.problem}`
    : `No native binary for ${environment.platformName} is installed`;
  return [fault(message, missingCommand(environment), facts)];
}

/** Returns a warning if the platform package has another version than Safelight. */
function mismatch(
  environment: DoctorEnvironment,
  { file }: BinaryCandidate,
  facts: { details: readonly string[]; data: Readonly<Record<string, unknown>> },
): Result | undefined {
  const manifest = file === undefined ? undefined : readManifest(dirname(file));
  const name = String(manifest?.name ?? '');
  const expected = ownVersion(environment.packageFolder);
  if (!name.startsWith('@safelight/') || manifest?.version === expected) return undefined;
  return warning(
    `${name} has version ${String(manifest?.version)}, Safelight has ${expected}`,
    isClone(environment) ? 'npm ci' : addPackage(environment, `${name}@${expected}`, true),
    facts,
  );
}

/** Returns the command that provides a binary where none is installed. */
function missingCommand(environment: DoctorEnvironment): string {
  if (isClone(environment)) return 'npm run build:native';
  const { packageFolder, platformName } = environment;
  const name = `@safelight/${platformName}`;
  const version = dependencyRanges(packageFolder, 'optionalDependencies')[name];
  if (version === undefined) return 'npx safelight build'; // no package exists for this platform
  // If sharp's binaries are missing too, all optional dependencies were omitted.
  const others = [`@img/sharp-${platformName}`, `@lmdb/lmdb-${platformName}`];
  const omitted = !others.some((other) => findPackage(other, packageFolder));
  return omitted ? installAll(environment) : addPackage(environment, `${name}@${version}`, true);
}

function commandFor(environment: DoctorEnvironment, candidate: BinaryCandidate, why: LoadFailure): string {
  const { source, file = '' } = candidate;
  const build = isClone(environment) ? 'npm run build:native' : 'npx safelight build';
  if (why.kind === 'library') return installSystemPackage(environment, why.library ?? '') ?? build;
  // Compiled here, or a package that cannot fit this system: compile it (again).
  if (!source.startsWith('@safelight/') || why.kind === 'old-libc' || why.kind === 'crash') return build;
  if (why.kind === 'libc' || why.kind === 'platform') return missingCommand(environment);
  return reinstall(environment, dirname(file));
}

function lines(attempts: readonly Attempt[]): string[] {
  const width = Math.max(...attempts.map(({ source }) => source.length));
  return attempts.map(({ source, state, reason }) => {
    const text = state === 'loaded' ? 'loads' : state === 'missing' ? reason : `${state}: ${reason}`;
    return `${source.padEnd(width)}  ${text}`;
  });
}
