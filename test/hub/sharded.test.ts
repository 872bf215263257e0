/** Components in several shards, in the Hugging Face cache and in folders of links. */
import { mkdtempSync } from 'node:fs';
import {
  cp,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { starterModel } from '../../lib/checkpoint/open.js';
import { openModel } from '../../lib/families/registry.js';
import { pullModel } from '../../lib/hub/index.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import { inspectModel } from '../../lib/tools/inspect.js';
import { HubServer } from '../support/hub-server.js';
import { layOutCache, shardedStarter } from '../support/sharded-model.js';

const ID = 'owner/sharded';
let home: string;
const before = process.env.HF_HUB_CACHE;

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'safelight-shards-'));
});
afterAll(async () => {
  if (before === undefined) delete process.env.HF_HUB_CACHE;
  else process.env.HF_HUB_CACHE = before;
  await rm(home, { recursive: true, force: true });
});

/** Copies the snapshot's files into a folder, with links resolved. */
async function copyOf(snapshot: string, name: string): Promise<string> {
  const path = join(home, name);
  await cp(snapshot, path, { recursive: true, dereference: true });
  return path;
}

const unetShard = (folder: string, shard: 1 | 2) =>
  join(folder, 'unet', `diffusion_pytorch_model-0000${shard}-of-00002.safetensors`);

/** Generates the same latent in two steps, from the model's weights alone. */
async function draw(model: string, options: { variant?: string } = {}): Promise<Uint8Array> {
  const pipeline = await Pipeline.load(model, options);
  try {
    const { images } = await pipeline.generate({ prompt: 'a red circle', seed: 7, steps: 2 });
    return images[0]!.data;
  } finally {
    await pipeline.dispose();
  }
}

describe('a sharded model in the Hugging Face cache', () => {
  it.each([undefined, 'fp16'])(
    'generates the same image as the unsharded model (variant %s)',
    async (variant) => {
      const hub = join(home, `hub-${variant}`);
      const snapshot = await layOutCache(hub, ID, shardedStarter(variant));
      const options = variant === undefined ? {} : { variant };
      const source = await openModel(snapshot, options);
      for (const { weights } of [source.textEncoders[0]!, source.unet, source.autoencoder])
        expect(new Set([...weights.tensors.values()].map(({ file }) => file)).size).toBe(2);
      process.env.HF_HUB_CACHE = hub;
      const inspected = await inspectModel(ID, options);
      expect(inspected).toMatchObject({ form: 'folder', problem: null });
      expect(inspected.files).toHaveLength(6);
      // Reports name files by their names, not by those of their blobs.
      expect(inspected.files[0]?.path).toMatch(/-0000[12]-of-00002\.safetensors$/);
      expect(inspected.components.every(({ plan }) => plan !== null)).toBe(true);
      expect(await draw(ID, options)).toEqual(await draw(starterModel));
    },
  );

  it('loads after a pull', async () => {
    const server = await HubServer.start();
    try {
      const files = shardedStarter('fp16');
      for (const [path, bytes] of shardedStarter()) files.set(path, bytes);
      server.repositories.set(ID, files);
      const env = { HOME: home, HF_ENDPOINT: server.url, HF_HUB_CACHE: join(home, 'pulled') };
      for (const options of [{}, { variant: 'fp16' }]) {
        const { path, files: taken } = await pullModel(ID, { env, ...options });
        expect(taken.filter((file) => file.endsWith('-of-00002.safetensors'))).toHaveLength(6);
        const stem = 'variant' in options ? 'model.fp16-' : 'model-';
        expect(taken).toContain(`text_encoder/${stem}00001-of-00002.safetensors`);
        expect(await readFile(unetShard(path, 1)).then(({ length }) => length)).toBeGreaterThan(1e6);
        expect((await openModel(path, options)).family).toBe('sd1');
      }
    } finally {
      await server.close();
    }
  });

  it('is pulled and found by its index if the repository is one set of shards', async () => {
    const server = await HubServer.start();
    try {
      const shards = [...shardedStarter()].filter(([path]) => path.startsWith('vae/diffusion'));
      const files = new Map(shards.map(([path, bytes]) => [path.replace('vae/', ''), bytes]));
      server.repositories.set('owner/vae', files);
      const hub = join(home, 'one-set');
      const env = { HOME: home, HF_ENDPOINT: server.url, HF_HUB_CACHE: hub };
      expect((await pullModel('owner/vae', { env })).files).toHaveLength(3);
      process.env.HF_HUB_CACHE = hub;
      const { form, files: found, tensors } = await inspectModel('owner/vae');
      expect(form).not.toBe('folder');
      expect(found).toHaveLength(2);
      expect(tensors.some(({ name }) => name.startsWith('encoder.down_blocks.'))).toBe(true);
    } finally {
      await server.close();
    }
  });

  it('loads if the blobs or the snapshot are links to another disk', async () => {
    const hub = join(home, 'moved');
    const snapshot = await layOutCache(hub, ID, shardedStarter());
    const repository = join(snapshot, '..', '..');
    await rename(join(repository, 'blobs'), join(home, 'disk'));
    await symlink(join(home, 'disk'), join(repository, 'blobs'));
    expect((await openModel(snapshot)).family).toBe('sd1');
    await symlink(snapshot, join(home, 'my-model'));
    expect((await openModel(join(home, 'my-model'))).family).toBe('sd1');
  });

  it('is rejected if a shard is a link out of the cache', async () => {
    const snapshot = await layOutCache(join(home, 'escaping'), ID, shardedStarter());
    const shard = unetShard(snapshot, 2);
    await cp(await realpath(shard), join(home, 'outside.safetensors'));
    await unlink(shard);
    await symlink(join(home, 'outside.safetensors'), shard);
    await expect(openModel(snapshot)).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringMatching(
        /"diffusion_pytorch_model-00002-of-00002.safetensors".* out of the cache/,
      ),
    });
  });

  it('is rejected with the name of a shard that was not downloaded', async () => {
    const snapshot = await layOutCache(join(home, 'partial'), ID, shardedStarter());
    await unlink(await realpath(unetShard(snapshot, 2)));
    await expect(openModel(snapshot)).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringContaining('diffusion_pytorch_model-00002-of-00002.safetensors'),
    });
  });
});

describe('a sharded model in a folder of links', () => {
  it('loads if the weights are stored elsewhere', async () => {
    const snapshot = await layOutCache(join(home, 'stored'), ID, shardedStarter());
    const [plain, storage] = [await copyOf(snapshot, 'plain'), join(home, 'storage')];
    await mkdir(storage);
    for (const component of ['unet', 'vae', 'text_encoder']) {
      for (const file of await readdir(join(plain, component))) {
        if (!file.endsWith('.safetensors')) continue;
        await rename(join(plain, component, file), join(storage, `${component}-${file}`));
        await symlink(join(storage, `${component}-${file}`), join(plain, component, file));
      }
    }
    expect((await openModel(plain)).family).toBe('sd1');
    // A malicious index still cannot name a file outside of its folder.
    const index = join(plain, 'unet', 'diffusion_pytorch_model.safetensors.index.json');
    const text = await readFile(index, 'utf8');
    for (const name of ['../../storage/unet-x.safetensors', join(storage, 'unet-x.safetensors')]) {
      await writeFile(index, text.replaceAll(/"diffusion_pytorch_model-00002[^"]*"/g, JSON.stringify(name)));
      await expect(openModel(plain)).rejects.toMatchObject({ code: 'INVALID_FILE' });
    }
  });

  it('loads if only the weights are links into the cache, as in local folders of older hub clients', async () => {
    const snapshot = await layOutCache(join(home, 'local'), ID, shardedStarter());
    const folder = await copyOf(snapshot, 'local-dir');
    const shard = unetShard(folder, 2);
    await unlink(shard);
    await symlink(await realpath(unetShard(snapshot, 2)), shard);
    expect((await openModel(folder)).family).toBe('sd1');
    expect(dirname(shard)).toBe(join(folder, 'unet'));
  });
});
