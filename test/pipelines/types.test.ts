/**
 * Types of the API in a program that is compiled with DOM types in addition to Node's, as web frameworks do.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'safelight-types-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** @returns the compiler's messages */
function compile(name: string, program: string): string {
  const file = join(folder, `${name}.mts`);
  writeFileSync(file, `import * as api from ${JSON.stringify(join(root, 'dist/index.js'))};\n${program}`);
  const options = [
    ...['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--module', 'nodenext'],
    ...['--lib', 'es2023,dom,dom.iterable,esnext.disposable'],
    ...['--typeRoots', join(root, 'node_modules/@types'), '--types', 'node'],
  ];
  try {
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...options, file], {
      cwd: folder,
      stdio: 'pipe',
    });
    return '';
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout);
  }
}

describe('types', { timeout: 120_000 }, () => {
  it('accept encoded bytes as bodies of responses and parts of blobs', () => {
    const program = `
      declare const image: api.GeneratedImage;
      declare const tensor: api.Tensor;
      declare const step: api.GenerationStep;
      new Response(await image.png());
      new Response(image.data);
      new Response(tensor.toNpy());
      new Blob([await image.png(), await api.encodePng(image), tensor.toImage().data, (await step.preview()).data]);
      new Response((await api.readImage('a.png')).data);
      const shared = new Uint8Array(new SharedArrayBuffer(12));
      await api.encodePng({ data: shared, width: 2, height: 2 });
    `;
    expect(compile('bytes', program)).toBe('');
  });

  it('accept every kind of image', () => {
    const program = `
      declare const canvas: ImageData;
      declare const file: File;
      declare const made: api.GeneratedImage;
      const sources: api.ImageSource[] = [
        'a.png', new URL('file:///a.png'), canvas, file, new Blob([]), new Uint8Array(1), Buffer.from(''), new ArrayBuffer(1),
        new SharedArrayBuffer(1), new DataView(new ArrayBuffer(1)), new Uint8ClampedArray(1), made, { data: canvas.data, width: 1, height: 1 },
      ];
      const options: api.GenerateOptions = { prompt: 'a', init: canvas, mask: file };
      export { sources, options };
    `;
    expect(compile('images', program)).toBe('');
  });

  it('complete the names of samplers and schedules and leave others to the runtime check', () => {
    const program = `
      const options: api.GenerateOptions = {
        prompt: 'a', sampler: 'dpmpp_2m', schedule: 'karras', hires: { sampler: 'DPM++ 2M Karras', schedule: 'Automatic' },
      };
      const names: api.SamplerName[] = ['euler', 'dpmpp_2m'];
      for (const sampler of names) await (null as unknown as api.Pipeline).generate({ ...options, sampler });
      type Known = NonNullable<api.GenerateOptions['sampler']>;
      const narrowed: Extract<Known, 'euler'> = 'euler';
      const error = new api.SafelightError('ABORTED', 'a');
      if (error.name === 'AbortError') console.log(error.code, narrowed);
    `;
    expect(compile('names', program)).toBe('');
  });

  it('reject unknown values of enumerations', () => {
    const program = `
      export const options: api.GenerateOptions = { prompt: 'a', rng: 'gpu' };
      export const image: api.GenerateOptions = { init: 'a.png', resizeMode: 'shrink' };
      export const hires: api.HiresOptions = { upscaler: '4x.safetensors' };
    `;
    const complaints = compile('wrong', program);
    expect(complaints.match(/error TS2322/g)).toHaveLength(2);
  });
});
