/** Trigger words of LoRAs from Civitai: stored next to the file, found by its description, removed with it. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pullModel, removeModel } from '../../lib/hub/index.js';
import { inspectModel } from '../../lib/tools/inspect.js';
import { start } from '../support/cli.js';
import { HubServer } from '../support/hub-server.js';
import { removeFolders, writeLora } from '../support/lora.js';

let server: HubServer;
let home: string;
let env: Record<string, string>;
const lora = readFileSync(writeLora('sd1', 'attention'));

beforeAll(async () => {
  server = await HubServer.start();
  server.repositories.set('civitai/files', new Map([['ink.safetensors', lora]]));
});
afterAll(async () => {
  await server.close();
  removeFolders();
});
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'safelight-civitai-'));
  env = { HOME: home, CIVITAI_ENDPOINT: server.url, PATH: process.env.PATH ?? '' };
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

function version(id: number, trainedWords: readonly string[] | null, type = 'LORA'): void {
  const SHA256 = createHash('sha256').update(lora).digest('hex').toUpperCase();
  server.versions.set(id, {
    ...{ id, modelId: 7, name: 'v1', baseModel: 'SD 1.5', trainedWords },
    model: { name: 'Ink', type },
    files: [
      {
        ...{ name: 'ink.safetensors', type: 'Model', primary: true, sizeKB: 1, hashes: { SHA256 } },
        metadata: { format: 'SafeTensor' },
        downloadUrl: `${server.url}/api/download/models/files/ink.safetensors`,
      },
    ],
  });
}

const pull = (id: number) => pullModel(`civitai:${id}`, { env });
const sidecarOf = (path: string) => path.replace('.safetensors', '.json');

describe('a LoRA of Civitai', () => {
  it('has its trained words where A1111 and inspect find them', async () => {
    version(31, ['ink style, ', 'wet paper', ' ink style', '']);
    const { path, triggerWords, files } = await pull(31);
    expect(path).toBe(join(home, '.local/share/safelight/models/loras/ink.safetensors'));
    expect([triggerWords, files]).toEqual([['ink style', 'wet paper'], ['ink.safetensors']]);
    expect(JSON.parse(readFileSync(sidecarOf(path), 'utf8'))).toEqual({
      'activation text': 'ink style, wet paper',
    });
    expect(readdirSync(dirname(path)).sort()).toEqual(['ink.civitai.info', 'ink.json', 'ink.safetensors']);
    expect((await inspectModel(path)).lora?.triggerWords).toEqual(['ink style', 'wet paper']);
  });

  it('keeps the words that its user wrote', async () => {
    version(31, ['ink style']);
    const { path } = await pull(31);
    const own = '{"activation text": "own", "preferred weight": 0.7}';
    writeFileSync(sidecarOf(path), own);
    await pull(31);
    expect(readFileSync(sidecarOf(path), 'utf8')).toBe(own);
    expect((await inspectModel(path)).lora?.triggerWords).toEqual(['own']);
    await removeModel('civitai:31', env);
    expect(existsSync(sidecarOf(path))).toBe(true);
  });

  it('is removed with its words', async () => {
    version(31, ['ink style']);
    const { path } = await pull(31);
    await removeModel('civitai:31', env);
    expect(readdirSync(dirname(path))).toEqual([]);
  });

  it('has no file of words if Civitai states none, nor has another type of model', async () => {
    version(32, null);
    expect((await pull(32)).triggerWords).toEqual([]);
    version(33, ['castle'], 'Checkpoint');
    const { path, triggerWords } = await pull(33);
    expect([triggerWords, existsSync(sidecarOf(path))]).toEqual([undefined, false]);
  });

  it('has its words printed by safelight pull', async () => {
    version(31, ['ink style', 'wet paper']);
    Object.assign(process.env, { CIVITAI_ENDPOINT: server.url });
    try {
      const folder = join(home, 'models');
      const { stdout } = await start(['pull', 'civitai:31', '--models', folder, '--quiet'], home).result;
      expect(stdout).toContain('Trigger words: ink style, wet paper');
      const { stdout: json } = await start(['pull', 'civitai:31', '--models', folder, '--json'], home).result;
      expect(JSON.parse(json)).toMatchObject({ triggerWords: ['ink style', 'wet paper'] });
    } finally {
      delete process.env.CIVITAI_ENDPOINT;
    }
  });
});
