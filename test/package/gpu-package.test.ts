/** The package of a GPU backend, installed on request: `backend: 'auto'` uses it. Its addon here is that of the test device. */
import { copyFileSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { platformName } from '../../lib/binding/platform.js';
import type { BackendInfo } from '../../lib/binding/types.js';
import { npmMissing, root } from './npm.js';
import { PackedProject } from './packed-project.js';

const testDevice = join(root, 'build/test-device/safelight-vulkan.node');
const name = `${platformName()}-vulkan`;
const missing =
  npmMissing ||
  (existsSync(testDevice) ? '' : 'the test device is built on Linux only') ||
  (existsSync(join(root, 'prebuilds', name)) ? '' : `there is no package ${name}`);
if (missing) console.warn(`The test of GPU packages is skipped because ${missing}.`);

describe.skipIf(missing)('a project with the package of a GPU backend', () => {
  let project: PackedProject;
  beforeAll(() => {
    project = new PackedProject();
    const scope = join(project.folder, 'node_modules/@safelight');
    rmSync(scope); // a link to that of the clone
    mkdirSync(join(scope, name), { recursive: true });
    symlinkSync(join(root, 'models'), join(scope, 'starter'), 'junction');
    copyFileSync(join(root, 'prebuilds', name, 'package.json'), join(scope, name, 'package.json'));
  });
  afterAll(() => project?.dispose());

  const run = (code: string) => {
    const { status, stdout, stderr } = project.node(['--input-type=module', '-e', code]);
    expect({ status, stderr }).toMatchObject({ status: 0 });
    return JSON.parse(stdout) as unknown;
  };
  const backends = () =>
    run(`import { backends } from 'safelight'; console.log(JSON.stringify(backends()))`) as BackendInfo[];
  /** Returns the backends that run the modules of the starter. */
  const used = () =>
    run(`
      import { Pipeline } from 'safelight';
      const pipeline = await Pipeline.load();
      await pipeline.generate({ prompt: 'a red apple', steps: 1, width: 64, height: 64 });
      console.log(JSON.stringify([...new Set(Object.values(pipeline.memory()).map(({ backend }) => backend))]));
      await pipeline.dispose();`);

  it('runs on the CPU while the package has no addon', () => {
    expect(backends().map((backend) => backend.name)).toEqual(['cpu']);
    expect(used()).toEqual(['cpu']);
  });

  it('runs on the GPU by default once the package is complete', () => {
    const target = join(project.folder, 'node_modules/@safelight', name, 'safelight-vulkan.node');
    copyFileSync(testDevice, target);
    expect(backends()).toContainEqual(expect.objectContaining({ name: 'vulkan', opens: true }));
    expect(used()).toEqual(['vulkan']);
  });
});
