/** Downloads from a hub that redirects, fails, truncates and sends wrong content. */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { tryLock } from '../../lib/binding/file-lock.js';
import { cachedRepositories, filesUnder } from '../../lib/hub/cache.js';
import { listModels, locateModel, type PullProgress, pullModel, removeModel } from '../../lib/hub/index.js';
import { HubServer } from '../support/hub-server.js';

let server: HubServer;
let home: string;
let env: Record<string, string>;
const retry = { attempts: 4, pause: 1, patience: 2000 };

/** Bytes whose values depend on their position. */
function content(size: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0, x = seed * 2654435761; i + 4 <= size; i += 4) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    bytes.writeUInt32LE(x, i);
  }
  return bytes;
}

const large = content(70 << 20, 1);
const unet = content(300_000, 2);

beforeAll(async () => {
  server = await HubServer.start();
  const index = {
    _class_name: 'StableDiffusionPipeline',
    unet: ['diffusers', 'X'],
    vae: ['diffusers', 'Y'],
    safety_checker: ['a', 'b'],
  };
  server.repositories.set(
    'owner/pipe',
    new Map([
      ['README.md', Buffer.from('# hello')],
      ['model_index.json', Buffer.from(JSON.stringify(index))],
      ['unet/config.json', Buffer.from('{"a":1}')],
      ['unet/diffusion_pytorch_model.safetensors', unet],
      ['unet/diffusion_pytorch_model.fp16.safetensors', content(200_000, 3)],
      ['unet/diffusion_pytorch_model.bin', content(5_000, 4)],
      ['vae/config.json', Buffer.from('{"b":1}')],
      ['vae/diffusion_pytorch_model.safetensors', content(9_000, 5)],
      ['safety_checker/model.safetensors', content(8_000, 6)],
      ['v1.ckpt', content(9_000, 7)],
    ]),
  );
  server.repositories.set(
    'owner/one',
    new Map([
      ['model.safetensors', unet],
      ['config.yaml', Buffer.from('a: 1')],
    ]),
  );
  server.repositories.set('owner/large', new Map([['large.safetensors', large]]));
  server.repositories.set('owner/pickle', new Map([['model.ckpt', unet]]));
  server.repositories.set(
    'owner/two',
    new Map([
      ['a.safetensors', unet],
      ['b.safetensors', content(4000, 8)],
    ]),
  );
  server.repositories.set('owner/evil', new Map([['../../../etc/passwd', unet]]));
  server.repositories.set('owner/gated', new Map([['model.safetensors', unet]]));
  server.gated.add('owner/gated');
});
afterAll(() => server.close());

beforeEach(() => {
  server.reset();
  home = mkdtempSync(join(tmpdir(), 'safelight-hub-'));
  env = { HOME: home, HF_ENDPOINT: server.url, CIVITAI_ENDPOINT: server.url, PATH: process.env.PATH ?? '' };
  return () => rmSync(home, { recursive: true, force: true });
});

const cache = () => join(home, '.cache/huggingface/hub');
const leftovers = async () => (await filesUnder(home)).filter((path) => /part|\.new$/.test(path));
const pull = (name: string, options: Parameters<typeof pullModel>[1] = {}) =>
  pullModel(name, { env, retry, ...options });
const failing = async (work: Promise<unknown>) => {
  const error: unknown = await work.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  );
  return error as Error & { code: string };
};

describe('a pipeline of the hub', () => {
  it('is stored in the layout of huggingface_hub: index, components, safetensors, and nothing else', async () => {
    const seen: PullProgress[] = [];
    const { path, files, version, bytes } = await pull('owner/pipe', {
      onProgress: (progress) => seen.push(progress),
    });
    expect(version).toBe(server.commit);
    expect([...files].sort()).toEqual([
      'model_index.json',
      'unet/config.json',
      'unet/diffusion_pytorch_model.safetensors',
      'vae/config.json',
      'vae/diffusion_pytorch_model.safetensors',
    ]);
    const folder = join(cache(), 'models--owner--pipe');
    expect(path).toBe(join(folder, 'snapshots', server.commit));
    expect(readFileSync(join(folder, 'refs/main'), 'utf8')).toBe(server.commit);
    const sha = createHash('sha256').update(unet).digest('hex');
    expect(readlinkSync(join(path, 'unet/diffusion_pytorch_model.safetensors'))).toBe(
      `../../../blobs/${sha}`,
    );
    expect(readFileSync(join(path, 'unet/diffusion_pytorch_model.safetensors')).equals(unet)).toBe(true);
    expect(await leftovers()).toEqual([]);
    expect(seen.at(-1)).toMatchObject({ files: [5, 5], bytes, total: bytes });

    // A second pull downloads nothing.
    server.reset();
    expect(await pull('owner/pipe')).toMatchObject({ fetched: 0, path });
    expect(server.requests.filter(({ method, url }) => method === 'GET' && !url.startsWith('/api'))).toEqual(
      [],
    );
    expect(await locateModel('owner/pipe', env)).toBe(path);
  });

  it('sends the token to the hub only, and explains how to access a gated model', async () => {
    const rejected = await failing(pull('owner/gated'));
    expect(rejected).toMatchObject({ code: 'ACCESS_DENIED' });
    expect(rejected.message).toContain(`${server.url}/owner/gated`);
    await mkdir(join(home, '.cache/huggingface'), { recursive: true });
    writeFileSync(join(home, '.cache/huggingface/token'), 'hf_right\n');
    server.reset();
    await pull('owner/gated'); // the storage host responds to a token with 400
    expect(server.requests.some(({ authorization }) => authorization === 'Bearer hf_right')).toBe(true);
  });

  it('downloads another variant, patterns and a revision', async () => {
    const { files } = await pull('owner/pipe', { variant: 'fp16' });
    expect(files).toContain('unet/diffusion_pytorch_model.fp16.safetensors');
    expect(files).toContain('vae/diffusion_pytorch_model.safetensors');
    const { files: picked, name } = await pull('owner/pipe@v1', { include: ['vae/', '*.md'] });
    expect(picked).toEqual(['README.md', 'vae/config.json', 'vae/diffusion_pytorch_model.safetensors']);
    expect(name).toBe('owner/pipe@v1');
    expect(readFileSync(join(cache(), 'models--owner--pipe/refs/v1'), 'utf8')).toBe(server.commit);
  });

  it.each([
    ['owner/nothing', 'MODEL_NOT_FOUND'],
    ['owner/pipe@v9', 'MODEL_NOT_FOUND'],
    ['owner/evil', 'DOWNLOAD_FAILED'],
    ['owner/two', 'INVALID_OPTION'],
    ['owner/pickle', 'UNSUPPORTED_MODEL'],
    ['owner', 'INVALID_OPTION'],
    ['../evil', 'INVALID_OPTION'],
    ['owner/..', 'INVALID_OPTION'],
  ])('rejects %s: %s', async (name, code) => {
    expect(await failing(pull(name))).toMatchObject({ code });
    expect(
      await filesUnder(join(home, '.cache')).then((files) => files.filter((file) => !/TAG$/.test(file))),
    ).toEqual([]);
  });

  it('downloads pickles on request, and one of several by a pattern', async () => {
    expect(await pull('owner/pickle', { pickle: true })).toMatchObject({ files: ['model.ckpt'] });
    expect(await failing(pull('owner/pipe', { include: ['*.ckpt'] }))).toMatchObject({
      code: 'UNSUPPORTED_MODEL',
    });
    expect(await failing(pull('owner/pipe', { include: ['*.gguf'] }))).toMatchObject({
      code: 'INVALID_OPTION',
    });
    const { path } = await pull('owner/two', { include: ['a.*'] });
    expect(await locateModel('owner/two', env)).toBe(join(path, 'a.safetensors'));
  });
});

describe('a failing server', () => {
  it('is asked again after the delay that it requests', async () => {
    server.faults = { failures: 3 };
    const { path } = await pull('owner/one');
    expect(readFileSync(join(path, 'model.safetensors')).equals(unet)).toBe(true);
    server.reset();
    server.faults = { failures: 1, retryAfter: 1 };
    const start = performance.now();
    await pull('owner/two', { include: ['b.*'] });
    expect(performance.now() - start).toBeGreaterThan(900);
  });

  it('is given up after the last retry, and received bytes are kept', async () => {
    server.faults = { failures: 99 };
    const error = await failing(pull('owner/one'));
    expect(error).toMatchObject({ code: 'DOWNLOAD_FAILED' });
    expect(existsSync(join(cache(), 'models--owner--one/refs/main'))).toBe(false);
  });

  it('may truncate bodies, and the rest is requested', async () => {
    server.faults = { truncateAt: 100_000, truncations: 2 };
    const { path } = await pull('owner/one');
    expect(readFileSync(join(path, 'model.safetensors')).equals(unet)).toBe(true);
    expect(server.requests.map(({ range }) => range).filter(Boolean)).toContain('bytes=100000-299999');
  });

  it('may not support range requests', async () => {
    server.faults = { noRanges: true };
    const { path } = await pull('owner/one');
    expect(readFileSync(join(path, 'model.safetensors')).equals(unet)).toBe(true);
    expect(await leftovers()).toEqual([]);
  });

  it('may stop sending', async () => {
    server.faults = { silent: true };
    const start = performance.now();
    const error = await failing(pull('owner/one', { retry: { attempts: 2, pause: 1, patience: 200 } }));
    expect(error).toMatchObject({ code: 'DOWNLOAD_FAILED' });
    expect(performance.now() - start).toBeLessThan(5000);
  });

  it('leads to another download after one wrong file, and keeps nothing if every download is wrong', async () => {
    server.faults = { corruptions: 1 };
    const { path } = await pull('owner/one', { include: ['*.safetensors'] });
    expect(readFileSync(join(path, 'model.safetensors')).equals(unet)).toBe(true);
    rmSync(cache(), { recursive: true });
    server.faults = { corruptions: 99 };
    const error = await failing(pull('owner/one', { include: ['*.safetensors'] }));
    expect(error).toMatchObject({ code: 'CHECKSUM_MISMATCH' });
    expect(
      (await filesUnder(join(cache(), 'models--owner--one'))).filter((file) => !file.includes('refs')),
    ).toEqual([]);
    server.faults = { wrongRange: true };
    expect(await failing(pull('owner/one', { include: ['*.safetensors'] }))).toMatchObject({
      code: 'CHECKSUM_MISMATCH',
    });
  });

  it('is reported if it sends no hash of a file', async () => {
    const error = await failing(
      pull('owner/one', { env: { ...env, HF_ENDPOINT: `${server.url}/elsewhere` } }),
    );
    expect(['MODEL_NOT_FOUND', 'DOWNLOAD_FAILED']).toContain(error.code);
  });
});

describe('a large file', () => {
  it('is downloaded in parts, can be stopped, and resumes', async () => {
    const controller = new AbortController();
    server.faults = { slow: 20 << 20 };
    const stopped = failing(
      pull('owner/large', {
        signal: controller.signal,
        onProgress: ({ bytes }) => bytes > 16 << 20 && controller.abort(),
      }),
    );
    expect(await stopped).toMatchObject({ code: 'ABORTED' });
    const [part] = (await leftovers()).filter((path) => path.endsWith('-part'));
    expect(part).toBeDefined();
    server.reset();
    let first: number | undefined;
    const { path } = await pull('owner/large', { onProgress: ({ bytes }) => (first ??= bytes) });
    expect(first).toBeGreaterThan(15 << 20);
    expect(server.sent).toBeLessThan(large.length - (15 << 20));
    expect(new Set(server.requests.map(({ range }) => range).filter(Boolean)).size).toBeGreaterThan(1);
    expect(readFileSync(join(path, 'large.safetensors')).equals(large)).toBe(true);
    expect(await leftovers()).toEqual([]);
  });

  it('waits for another process that downloads it, with the lock that Python uses', async () => {
    const sha = createHash('sha256').update(unet).digest('hex');
    const lock = join(cache(), '.locks/models--owner--one', `${sha}.lock`);
    await mkdir(join(lock, '..'), { recursive: true });
    const held = tryLock(lock);
    if (typeof held !== 'object') throw new Error(held);
    expect(tryLock(lock)).toBe('busy');
    const notes: string[] = [];
    const pulling = pull('owner/one', { onNote: (note) => notes.push(note) });
    await expect.poll(() => notes.join(), { timeout: 20_000 }).toContain('another process');
    expect(
      readdirSync(join(cache(), 'models--owner--one/blobs')).filter((name) => name.startsWith(sha)),
    ).toEqual([]);
    held.release();
    expect((await pulling).fetched).toBeGreaterThan(0);
  });
});

describe('a version on Civitai', () => {
  const version = (
    id: number,
    files: { name: string; sha?: string; format?: string; primary?: boolean; type?: string }[],
    type = 'Checkpoint',
  ) =>
    server.versions.set(id, {
      id,
      modelId: 7,
      name: 'v1',
      baseModel: 'SD 1.5',
      model: { name: 'Dream', type },
      files: files.map(({ name, sha, format = 'SafeTensor', primary = false, type: kind = 'Model' }) => ({
        name,
        type: kind,
        primary,
        sizeKB: 1,
        metadata: { format },
        hashes: sha === undefined ? {} : { SHA256: sha.toUpperCase() },
        downloadUrl: `${server.url}/api/download/models/${name}`,
      })),
    });
  const sha = createHash('sha256').update(unet).digest('hex');

  it('is stored in the models folder and verified by its SHA-256', async () => {
    server.repositories.set('civitai/dream.safetensors', new Map());
    server.repositories.set('civitai/files', new Map([['dream.safetensors', unet]]));
    version(11, [
      { name: 'files/dream.ckpt', format: 'PickleTensor', primary: true },
      { name: 'files/dream.safetensors', sha },
    ]);
    // File names of a server are names, not paths.
    expect(await failing(pull('civitai:11'))).toMatchObject({ code: 'DOWNLOAD_FAILED' });
    const answer = server.versions.get(11) as { files: { name: string }[] };
    for (const file of answer.files) file.name = file.name.replace('files/', '');
    const { path, name } = await pull('civitai:11');
    expect(path).toBe(join(home, '.local/share/safelight/models/dream.safetensors'));
    expect(readFileSync(path).equals(unet)).toBe(true);
    expect(JSON.parse(readFileSync(path.replace('.safetensors', '.civitai.info'), 'utf8'))).toMatchObject({
      id: 11,
      modelId: 7,
    });
    expect(await pull('civitai:11')).toMatchObject({ path, fetched: 0 });
    expect(await locateModel(name, env)).toBe(path);
    expect(await locateModel('dream', env)).toBe(path);
    expect(await listModels(env)).toMatchObject([
      { name: 'civitai:11', source: 'civitai', path, bytes: unet.length },
    ]);

    // Another version with the same file name gets its own name; a version with wrong content is not stored.
    server.repositories.get('civitai/files')!.set('other.safetensors', large.subarray(0, 5000));
    const other = server.repositories.get('civitai/files')!.get('other.safetensors')!;
    version(12, [{ name: 'dream.safetensors', sha: createHash('sha256').update(other).digest('hex') }]);
    (server.versions.get(12) as { files: { downloadUrl: string }[] }).files[0]!.downloadUrl =
      `${server.url}/api/download/models/files/other.safetensors`;
    expect((await pull('civitai:12')).path).toBe(path.replace('dream.', 'dream.12.'));
    version(13, [{ name: 'files/dream.safetensors', sha: '0'.repeat(64) }]);
    (server.versions.get(13) as { files: { name: string }[] }).files[0]!.name = 'wrong.safetensors';
    expect(await failing(pull('civitai:13'))).toMatchObject({ code: 'CHECKSUM_MISMATCH' });
    expect(existsSync(path.replace('dream.', 'wrong.'))).toBe(false);
    expect(await removeModel('civitai:11', env)).toBe(unet.length);
    expect(existsSync(path)).toBe(false);
    expect(await failing(removeModel('civitai:11', env))).toMatchObject({ code: 'MODEL_NOT_FOUND' });
  });

  it('is rejected if it is a pickle, and missing versions are named', async () => {
    version(20, [{ name: 'old.ckpt', format: 'PickleTensor', primary: true }]);
    expect(await failing(pull('civitai:20'))).toMatchObject({ code: 'UNSUPPORTED_MODEL' });
    expect(await failing(pull('civitai:21'))).toMatchObject({ code: 'MODEL_NOT_FOUND' });
    expect(await failing(locateModel('civitai:21', env))).toMatchObject({ code: 'MODEL_NOT_FOUND' });
  });
});

describe('downloaded models', () => {
  it('are listed and removed, revisions separately', async () => {
    await pull('owner/one');
    const [cached] = await cachedRepositories(cache());
    expect(cached?.id).toBe('owner/one');
    // Another commit, as a later pull of another client would leave it: the two share one file.
    const newer = 'a'.repeat(40);
    await cached!.link(createHash('sha256').update(unet).digest('hex'), newer, 'model.safetensors');
    await cached!.writeRef('next', newer);
    expect((await listModels(env)).map(({ name }) => name)).toEqual(['owner/one@next', 'owner/one']);
    expect(await removeModel('owner/one@main', env)).toBeGreaterThan(0); // the YAML
    expect((await listModels(env)).map(({ name }) => name)).toEqual(['owner/one@next']);
    const path = await locateModel('owner/one', env); // the only file of its kind
    expect(readFileSync(path).equals(unet)).toBe(true);
    expect(await removeModel('owner/one', env)).toBeGreaterThan(unet.length - 1);
    expect(await listModels(env)).toEqual([]);
    expect(existsSync(join(cache(), 'models--owner--one'))).toBe(false);
    expect(await failing(removeModel('owner/one', env))).toMatchObject({ code: 'MODEL_NOT_FOUND' });
  });

  it('are found by name wherever a path is accepted, and a missing one is reported with the command to pull it', async () => {
    expect((await failing(locateModel('owner/never', env))).message).toContain('safelight pull owner/never');
    expect(await locateModel('models/none.safetensors', env)).toBe('models/none.safetensors');
    expect(await locateModel('/no/such', env)).toBe('/no/such');
    expect(await locateModel('no/such/file', env)).toBe('no/such/file');
    await pull('owner/one');
    expect(await locateModel('owner/one/model.safetensors', env)).toMatch(/model\.safetensors$/);
    expect(await failing(locateModel('owner/one/other.safetensors', env))).toMatchObject({
      code: 'MODEL_NOT_FOUND',
    });
    expect(await pull('owner/one', { env: { ...env, HF_HUB_OFFLINE: '1' } })).toMatchObject({
      version: server.commit,
    });
  });
});
