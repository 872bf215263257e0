import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openModel } from '../../../lib/families/registry.js';
import { readWordPieceFiles } from '../../../lib/tokenizers/reading/wordpiece-files.js';
import { WordPieceTokenizer } from '../../../lib/tokenizers/wordpiece.js';
import { caseNamed, picturePath, writeCheckpoint, writeModel } from '../../support/latent-diffusion.js';
import { readJson } from '../../support/tiny-models.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-ldm-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('BERT tokenizer', () => {
  const texts = readJson<[text: string, ids: number[]][]>(picturePath('tokens.json'));

  it.each(texts)('returns the tokens of transformers for %j', async (text, ids) => {
    const tokenizer = new WordPieceTokenizer((await readWordPieceFiles(picturePath('')))!, 77);
    expect(tokenizer.encode(text)).toEqual(ids);
  });
});

describe('a text-to-image model of latent diffusion', () => {
  it('is found in a folder and in a checkpoint', async () => {
    for (const name of ['text-folder', 'text']) {
      const { family, condition, textEncoders } = await openModel(
        writeModel(caseNamed(name), join(root, name)),
      );
      expect([family, condition.kind]).toEqual(['ldm', 'text']);
      expect(textEncoders[0]?.config).toMatchObject({
        hidden_size: 32,
        num_hidden_layers: 2,
        head_dim: 8,
        max_position_embeddings: 77,
      });
    }
  });

  it('reports the missing vocabulary', async () => {
    const path = writeCheckpoint(caseNamed('text'), join(root, 'wordless'));
    rmSync(join(root, 'wordless', 'vocab.txt'));
    await expect(openModel(path)).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringContaining('vocab.txt'),
    });
  });
});
