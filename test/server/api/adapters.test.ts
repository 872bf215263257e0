/** Lists of LoRAs and embeddings for the web page, and their thumbnails. */
import { rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loraHash } from '../../../lib/adapters/lora-hash.js';
import { Hashes } from '../../../lib/server/adapters/hashes.js';
import { AdapterFolder } from '../../support/server/adapter-folder.js';
import { call, startServer, type TestServer } from '../../support/server/test-server.js';

interface Lists {
  readonly configured: boolean;
  readonly loras: (Record<string, unknown> & { readonly name: string; readonly file: string })[];
  readonly embeddings: (Record<string, unknown> & { readonly name: string; readonly file: string })[];
}

const folder = new AdapterFolder();
let server: TestServer;
const list = async (query = '') => (await call<Lists>(`${server.url}/v1/adapters${query}`)).body;
const named = async (name: string, query = '') => {
  const { loras, embeddings } = await list(query);
  return [...loras, ...embeddings].find((entry) => entry.name === name);
};
const thumbnail = (kind: string, file: string, headers: Record<string, string> = {}) =>
  fetch(`${server.url}/v1/adapters/${kind}/thumbnail?file=${encodeURIComponent(file)}`, { headers });

beforeAll(async () => {
  folder.lora('loras/ink.safetensors', {
    ss_output_name: 'ink_v2',
    ss_sd_model_name: 'base.safetensors',
    sshs_model_hash: 'ABCDEF0123456789abcdef',
    'modelspec.trigger_phrase': 'ink style, monochrome',
  });
  folder.json('loras/ink.json', { 'preferred weight': 0.7 });
  await folder.image('loras/ink.preview.png', '#102030');
  folder.lora('loras/people/anna.safetensors', {}, 768);
  await folder.image('loras/people/ANNA.JPG', '#ff0000', [100, 50]);
  folder.text('loras/broken.safetensors', 'not a file of tensors');
  folder.text('loras/broken.png', 'not an image');
  folder.text('loras/notes.txt', 'ignored');
  folder.lora('outside.safetensors');
  await folder.image('outside.png', '#00ff00');
  folder.embedding('embeddings/calm.safetensors');
  await folder.image('embeddings/calm.webp', '#0000ff');
  folder.text('embeddings/torn.pt', 'x');
  server = await startServer({ models: folder.path });
});
afterAll(async () => {
  await server.end();
  rmSync(folder.path, { recursive: true });
});

describe('GET /v1/adapters', () => {
  it('describes LoRAs from their tensors, their metadata and the files beside them', async () => {
    const { configured, loras } = await list();
    expect(configured).toBe(true);
    expect(loras.map(({ file }) => file)).toEqual([
      'broken.safetensors',
      'ink.safetensors',
      'people/anna.safetensors',
    ]);
    expect(loras[1]).toEqual({
      ...{ name: 'ink', alias: 'ink_v2', file: 'ink.safetensors', kind: 'lora', family: null, rank: 2 },
      ...{ triggerWords: ['ink style', 'monochrome'], baseModel: 'base.safetensors', weight: 0.7 },
      ...{ hash: 'abcdef012345', thumbnail: true },
    });
    expect(loras[2]).toMatchObject({ name: 'anna', family: 'sd1', triggerWords: [], thumbnail: true });
  });

  it('describes embeddings', async () => {
    expect(await named('calm')).toEqual({
      ...{ name: 'calm', file: 'calm.safetensors', family: null, vectors: 2, widths: [192] },
      ...{ hash: expect.stringMatching(/^[0-9a-f]{12}$/), thumbnail: true },
    });
  });

  it('lists files that cannot be read with the reason, without absolute paths', async () => {
    const [lora, embedding] = [await named('broken'), await named('torn')];
    expect(lora).toMatchObject({ kind: null, rank: null, hash: null, triggerWords: [] });
    expect(embedding).toMatchObject({ vectors: null, widths: [], hash: null, thumbnail: false });
    for (const entry of [lora, embedding]) {
      expect(entry!.problem).toContain(entry!.file);
      expect(entry!.problem).not.toContain(folder.path);
    }
  });

  it('computes the hashes of files that state none, and returns all of them on request', async () => {
    const hash = await loraHash(join(folder.path, 'loras/people/anna.safetensors'));
    expect((await named('anna', '?hashes=all'))!.hash).toBe(hash);
    expect((await named('anna'))!.hash).toBe(hash);
  });

  it('leaves out a hash that takes long, and computes it in the background', async () => {
    const path = folder.at('large.safetensors');
    const bytes = 2 ** 27;
    const header = JSON.stringify({ a: { dtype: 'U8', shape: [bytes], data_offsets: [0, bytes] } });
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(path, Buffer.concat([length, Buffer.from(header)]));
    truncateSync(path, 8 + header.length + bytes);
    const hashes = new Hashes(new AbortController().signal);
    expect(await hashes.of([path], 1)).toEqual(new Map());
    const begun = hashes.of([path], Number.POSITIVE_INFINITY);
    expect(await begun).toEqual(new Map([[path, await loraHash(path)]]));
    const closing = new AbortController();
    const ended = new Hashes(closing.signal).of([path], Number.POSITIVE_INFINITY);
    closing.abort();
    expect(await ended).toEqual(new Map());
  });

  it('notices new files, changed descriptions and removed files', async () => {
    folder.lora('loras/late.safetensors');
    expect(await named('late')).toMatchObject({ triggerWords: [] });
    folder.json('loras/late.json', { 'activation text': 'late style', 'preferred weight': 0 });
    const described = await named('late');
    expect(described).toMatchObject({ triggerWords: ['late style'] });
    expect(described).not.toHaveProperty('weight');
    rmSync(join(folder.path, 'loras/late.safetensors'));
    expect(await named('late')).toBeUndefined();
  });

  it.each(['[]', 'null', '{"preferred weight": "1", "activation text": 5}', '{', '"x"'])(
    'ignores the malformed description %s',
    async (text) => {
      folder.text('loras/people/anna.json', text);
      expect(await named('anna')).toMatchObject({ triggerWords: [], rank: 2 });
      expect(await named('anna')).not.toHaveProperty('weight');
    },
  );

  it('returns empty lists without a models folder, and without its subfolders', async () => {
    const empty = new AdapterFolder();
    for (const models of [undefined, empty.path]) {
      const other = await startServer(models === undefined ? {} : { models });
      const { body, status } = await call(`${other.url}/v1/adapters`);
      expect([status, body]).toEqual([200, { configured: models !== undefined, loras: [], embeddings: [] }]);
      await other.end();
    }
    rmSync(empty.path, { recursive: true });
  });

  it('rejects unknown parameters', async () => {
    expect((await call(`${server.url}/v1/adapters?hashes=some`)).status).toBe(400);
    expect((await call(`${server.url}/v1/adapters?other=1`)).status).toBe(400);
  });
});

describe('thumbnails', () => {
  it('are WebP images of at most 256 pixels with the colors of the image', async () => {
    for (const [kind, file, size, color] of [
      ['loras', 'ink.safetensors', [256, 171], [0x10, 0x20, 0x30]],
      ['loras', 'people/anna.safetensors', [100, 50], [255, 0, 0]],
      ['embeddings', 'calm.safetensors', [256, 171], [0, 0, 255]],
    ] as const) {
      const response = await thumbnail(kind, file);
      expect([response.status, response.headers.get('content-type')]).toEqual([200, 'image/webp']);
      const image = sharp(Buffer.from(await response.arrayBuffer()));
      const { width, height, format } = await image.metadata();
      expect([[width, height], format]).toEqual([size, 'webp']);
      const { data } = await image.raw().toBuffer({ resolveWithObject: true });
      for (const [i, value] of color.entries()) expect(Math.abs(data[i]! - value)).toBeLessThan(6);
    }
  });

  it('are sent again only after the image has changed', async () => {
    const first = await thumbnail('loras', 'ink.safetensors');
    const tag = first.headers.get('etag')!;
    expect(first.headers.get('cache-control')).toBe('private, no-cache');
    const unchanged = await thumbnail('loras', 'ink.safetensors', { 'if-none-match': `"x", ${tag}` });
    expect([unchanged.status, await unchanged.text()]).toEqual([304, '']);
    await folder.image('loras/ink.preview.png', '#ffffff', [300, 300]);
    const changed = await thumbnail('loras', 'ink.safetensors', { 'if-none-match': tag });
    expect(changed.status).toBe(200);
    expect((await sharp(Buffer.from(await changed.arrayBuffer())).metadata()).height).toBe(256);
  });

  it.each([
    '../outside.safetensors',
    '/outside.safetensors',
    'people/../ink.safetensors',
    './ink.safetensors',
    '..\\outside.safetensors',
    'ink.json',
    'ink',
    '__proto__',
    'ink.safetensors\0',
  ])('are not made of %j, which the list does not contain', async (file) => {
    const response = await thumbnail('loras', file);
    expect(response.status).toBe(404);
    const absolute = await thumbnail('loras', join(folder.path, 'outside.safetensors'));
    expect(absolute.status).toBe(404);
  });

  it('are made of images only', async () => {
    const svg =
      '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>';
    folder.lora('loras/vector.safetensors');
    folder.text('loras/vector.png', svg);
    folder.lora('loras/secret.safetensors');
    writeFileSync(folder.at('secret.txt'), 'secret');
    symlinkSync(folder.at('secret.txt'), folder.at('loras/secret.png'));
    for (const name of ['broken', 'vector', 'secret']) {
      const { status, body } = await call(
        `${server.url}/v1/adapters/loras/thumbnail?file=${name}.safetensors`,
      );
      expect([status, body]).toMatchObject([404, { error: { code: 'FILE_NOT_FOUND' } }]);
      expect(JSON.stringify(body)).not.toContain(folder.path);
    }
  });
});
