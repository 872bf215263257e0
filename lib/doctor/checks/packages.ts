/** Checks the packages that Safelight depends on: their versions, native ones by loading them, and optional ones. */
import type { DoctorEnvironment } from '../environment.js';
import { counted, fault, ok, type Result } from '../finding.js';
import {
  addPackage,
  dependencyRanges,
  findPackage,
  installAll,
  isClone,
  missingPackages,
  missingText,
  ownVersion,
} from '../installed.js';
import { runNode } from '../run-node.js';

/** Packages with native code, which may be installed for another system. */
const NATIVE = [{ name: 'sharp', use: 'images cannot be read or written' }] as const;

/** Packages that are installed on request. */
const OPTIONAL = [
  { name: 'bullmq', use: 'serve --queue, worker' },
  { name: 'ioredis', use: 'serve --queue, worker' },
  { name: '@fastify/swagger-ui', use: 'the API documentation of serve' },
  { name: 'ai', use: 'safelight/ai' },
] as const;

/** Milliseconds within which a package must load. */
const PATIENCE = 15_000;

const LOAD = `
require(process.argv[1]);
console.log('loaded');
process.exit(0);
`;

export async function checkPackages(environment: DoctorEnvironment): Promise<readonly Result[]> {
  const { packageFolder } = environment;
  const required = Object.keys(dependencyRanges(packageFolder, 'dependencies'));
  const versions: Record<string, string> = { safelight: ownVersion(packageFolder) };
  for (const name of required) {
    const found = findPackage(name, packageFolder);
    if (found) versions[name] = found.version;
  }
  // The check of the bundled models reports their package.
  const missing = missingPackages(packageFolder).filter((name) => name !== '@safelight/starter');
  const platform = `@safelight/${environment.platformName}`;
  const binary = findPackage(platform, packageFolder);
  if (binary) versions[platform] = binary.version;
  const broken = (await Promise.all(NATIVE.map((entry) => loadProblem(environment, entry)))).flat();
  const shown = ['safelight', platform, '@safelight/starter', ...NATIVE.map(({ name }) => name)];
  const facts = {
    details: shown.filter((name) => versions[name]).map((name) => `${name} ${versions[name]}`),
    data: { versions, missing },
  };
  const results: Result[] = [];
  if (missing.length > 0) results.push(fault(missingText(missing), installAll(environment), facts));
  results.push(...broken);
  if (results.length === 0) results.push(ok(`${counted(required.length, 'package')} are installed`, facts));
  return [...results, optionalPackages(environment, required)];
}

/** Loads a native package in a child process. */
async function loadProblem(
  environment: DoctorEnvironment,
  { name, use }: (typeof NATIVE)[number],
): Promise<readonly Result[]> {
  const found = findPackage(name, environment.packageFolder);
  if (!found) return [];
  const { stdout, stderr, how } = await runNode(['-e', LOAD, found.folder], PATIENCE);
  if (stdout.includes('loaded')) return [];
  const reason = /^\w*Error: (.*)$/m.exec(stderr)?.[1] ?? how;
  const command = isClone(environment)
    ? 'npm ci'
    : addPackage(environment, `--include=optional ${name}@${found.version}`);
  return [
    fault(`The package ${name} cannot be loaded, so ${use}: ${reason}`, command, {
      data: { package: name, version: found.version, reason },
    }),
  ];
}

function optionalPackages({ packageFolder }: DoctorEnvironment, required: readonly string[]): Result {
  const optional = OPTIONAL.filter(({ name }) => !required.includes(name)).map(({ name, use }) => ({
    name,
    use,
    version: findPackage(name, packageFolder)?.version ?? null,
  }));
  const installed = optional.filter(({ version }) => version !== null).length;
  const width = Math.max(...optional.map(({ name }) => name.length));
  return ok(`${installed} of ${counted(optional.length, 'optional package')} installed`, {
    details: optional.map(
      ({ name, use, version }) => `${name.padEnd(width)}  ${version ?? 'not installed'} (for ${use})`,
    ),
    data: { optional },
  });
}
