/** Checks the native binary: each place where it is looked for, and the reason if it cannot be used. */

import { dirname } from 'node:path';
import type { BinaryCandidate } from '../../binding/binaries.js';
import { platforms } from '../../binding/platform.js';
import { readManifest } from '../../package.js';
import { installSystemPackage } from '../distribution.js';
import type { DoctorEnvironment } from '../environment.js';
import { fault, ok, type Result, warning } from '../finding.js';
import { addPackage, findPackage, installAll, isClone, ownVersion, reinstall } from '../installed.js';
import { explainFailure, type LoadFailure } from '../load-failure.js';

/** A place after the attempt to load its binary. */
interface Attempt {
  readonly source: string;
  readonly file?: string;
  readonly state: 'loaded' | 'rejected' | 'missing' | 'not tried';
  readonly reason?: string;
}

interface Rejected {
  readonly source: string;
  readonly file: string;
  readonly why: LoadFailure;
}

export async function checkBinaries(environment: DoctorEnvironment): Promise<readonly Result[]> {
  const attempts: Attempt[] = [];
  const rejected: Rejected[] = [];
  let loaded: BinaryCandidate | undefined;
  for (const candidate of environment.binaries('cpu')) {
    const { source, file, problem = 'not found' } = candidate;
    if (file === undefined) {
      attempts.push({ source, state: 'missing', reason: problem });
    } else if (loaded) {
      attempts.push({ source, file, state: 'not tried', reason: `${loaded.source} has precedence` });
    } else {
      const report = await environment.probe('cpu', file);
      if (report.problem === undefined) {
        loaded = candidate;
        attempts.push({ source, file, state: 'loaded' });
      } else {
        const why = explainFailure(report.problem);
        rejected.push({ source, file, why });
        attempts.push({ source, file, state: 'rejected', reason: why.text });
      }
    }
  }
  const others = otherPlatforms(environment);
  const details = [
    ...lines(attempts),
    ...(others.length > 0 ? [`installed for other systems: ${others.join(', ')}`] : []),
  ];
  const facts = {
    details,
    data: { platform: environment.platformName, tried: attempts, otherPlatforms: others },
  };
  const failures = rejected.map(({ source, file, why }) => {
    const message = `The native binary of ${source} ${why.text}`;
    const command = commandFor(environment, { source, file, why });
    // The loader tries the next place, unless the binary has ended its process.
    return loaded && why.kind !== 'crash' && why.kind !== 'instructions'
      ? warning(`${message}; that of ${loaded.source} is used`, command, facts)
      : fault(message, command, facts);
  });
  if (failures.length > 0) return failures;
  if (loaded)
    return [mismatch(environment, loaded, facts) ?? ok(`The native binary of ${loaded.source} loads`, facts)];
  const { platformName } = environment;
  const message = findPackage(`@safelight/${platformName}`, environment.packageFolder)
    ? `The package @safelight/${platformName} contains no native binary`
    : others.length > 0
      ? `No native binary for ${platformName} is installed, only for ${others.join(', ')}`
      : `No native binary for ${platformName} is installed`;
  return [fault(message, missingCommand(environment, others), facts)];
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

/** Returns the platforms whose packages are installed although they are not this system's. */
function otherPlatforms(environment: DoctorEnvironment): readonly string[] {
  if (isClone(environment)) return []; // links to all of them
  const { platformName, packageFolder } = environment;
  return platforms.filter(
    (name) => name !== platformName && findPackage(`@safelight/${name}`, packageFolder),
  );
}

/** Returns the command that provides a binary where none is installed. */
function missingCommand(environment: DoctorEnvironment, others: readonly string[] = []): string {
  if (isClone(environment)) return 'npm run build:native';
  const { packageFolder, platformName } = environment;
  if (!(platforms as readonly string[]).includes(platformName)) return 'npx safelight build';
  const empty = findPackage(`@safelight/${platformName}`, packageFolder);
  if (empty) return reinstall(environment, empty.folder);
  // If sharp's binary is missing too, all optional dependencies were omitted.
  const omitted = others.length === 0 && !findPackage(`@img/sharp-${platformName}`, packageFolder);
  if (omitted) return installAll(environment, true);
  return addPackage(environment, `@safelight/${platformName}@${ownVersion(packageFolder)}`, true);
}

function commandFor(environment: DoctorEnvironment, { source, file, why }: Rejected): string {
  const build = isClone(environment) ? 'npm run build:native' : 'npx safelight build';
  if (why.kind === 'library') return installSystemPackage(environment, why.library ?? '') ?? build;
  // Compiled here, or no package fits this system: compile it (again).
  const misfits = why.kind === 'old-libc' || why.kind === 'instructions';
  if (!source.startsWith('@safelight/') || misfits || isClone(environment)) return build;
  return reinstall(environment, dirname(file));
}

function lines(attempts: readonly Attempt[]): string[] {
  const width = Math.max(...attempts.map(({ source }) => source.length));
  return attempts.map(({ source, state, reason }) => {
    const text = state === 'loaded' ? 'loads' : state === 'missing' ? reason : `${state}: ${reason}`;
    return `${source.padEnd(width)}  ${text}`;
  });
}
