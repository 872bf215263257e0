/** `--vae` and `--preview-vae` with a tiny autoencoder through the compiled command line. */
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { readImage } from '../../lib/image/read.js';
import { run, workFolder } from '../support/cli.js';
import { caseNamed, commandLine, imagePath, largestDifference } from '../support/pipeline-cases.js';
import { originalHalf, TAESD, writeTaesdFolder, writeTensors } from '../support/taesd.js';
import { writeFolder } from '../support/tiny-models.js';

const work = workFolder();
afterAll(() => work.remove());

const model = writeFolder('sd1', work.file('model'));
const decoder = writeTensors(work.file('taesd_decoder.pth'), originalHalf('decoder'));
const output = work.file('out.png');

const generate = (...more: string[]) =>
  run(['generate', '--model', model, '-o', output, '--storage', 'f32', '--quiet', ...more], work.path);

describe('safelight generate with a tiny autoencoder', () => {
  it('decodes with the decoder that --vae names', async () => {
    const { code, stderr } = await generate('--vae', decoder, ...commandLine(caseNamed('sd1-euler-karras')));
    expect([code, stderr]).toEqual([0, '']);
    const image = await readImage(readFileSync(output));
    const expected = await readImage(`${TAESD}text-to-image.png`);
    expect(largestDifference(image.data, expected.data)).toBeLessThanOrEqual(3);
  });

  it('reports the missing encoder for --init, and what other files lack', async () => {
    const from = await generate('--vae', decoder, '--init', imagePath('init.png'), '--steps', '2', 'apple');
    expect(from.code).toBeGreaterThan(0);
    expect(from.stderr).toMatch(
      /taesd_decoder\.pth contains only the decoder.*put taesd_encoder\.pth beside it/,
    );
    const preview = await generate('--preview-vae', `${model}/vae`, 'apple');
    expect(preview.code).toBeGreaterThan(0);
    expect(preview.stderr).toMatch(/is not a tiny autoencoder, which previews need/);
  });

  it('generates the same image with --preview-vae', async () => {
    const flags = ['--steps', '2', '--width', '32', '--height', '32', '--seed', '3', 'apple'];
    await generate(...flags);
    const expected = readFileSync(output);
    const { code } = await generate('--preview-vae', decoder, ...flags);
    expect(code).toBe(0);
    expect(readFileSync(output).equals(expected)).toBe(true);
  });

  it('describes its halves with inspect', async () => {
    const alone = await run(['inspect', decoder]);
    expect(alone.stdout).toMatch(/vae +taesd .*decoder, 4 latent channels x 1/);
    const folder = await run(['inspect', writeTaesdFolder(work.file('taesd'))]);
    expect(folder.stdout).toMatch(/vae +diffusers .*encoder and decoder, 4 latent channels x 1/);
  });
});
