/** Downloads a model version of Civitai into the models folder, with its public API. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { defined } from '../defined.js';
import { aborted, invalidOption, SafelightError } from '../errors.js';
import { renameFile } from '../files/replace.js';
import { type Checksum, fileHash } from './download/checksum.js';
import { downloadFailed, HttpFailure, requestJson } from './download/http.js';
import { withRetries } from './download/retry.js';
import { checkRoom, Session } from './download/session.js';
import { type Connection, remoteSize, transfer } from './download/transfer.js';
import { civitaiEndpoint, civitaiToken, isOffline, modelsFolder } from './environment.js';
import { parsedJson } from './json.js';
import { withLock } from './lock.js';
import { checkedFileName } from './names.js';
import { trimmedWords, writeTriggerWords } from './trigger-words.js';
import type { PullOptions, PullResult } from './types.js';

export interface PullCivitaiOptions extends PullOptions {
  /** Destination folder. Default `SAFELIGHT_MODELS`, or `models` in Safelight's data folder. */
  readonly models?: string;
}

const fileSchema = z.lazy(() =>
  z.object({
    name: z.string(),
    type: z.string().nullish(),
    primary: z.boolean().nullish(),
    metadata: z.object({ format: z.string().nullish() }).nullish(),
    hashes: z.object({ SHA256: z.string().nullish() }).nullish(),
    downloadUrl: z.url(),
  }),
);
const versionSchema = z.lazy(() =>
  z.object({
    id: z.int().positive(),
    modelId: z.int().nullish(),
    name: z.string().nullish(),
    baseModel: z.string().nullish(),
    trainedWords: z.array(z.string()).nullish(),
    model: z.object({ name: z.string().nullish(), type: z.string().nullish() }).nullish(),
    files: z.array(fileSchema).max(1000),
  }),
);

export type CivitaiVersion = z.infer<typeof versionSchema>;
type CivitaiFile = z.infer<typeof fileSchema>;

const LORAS = 'loras';
/** Folders of Civitai's model types other than checkpoints. */
const FOLDERS: Readonly<Record<string, string>> = {
  LORA: LORAS,
  LoCon: LORAS,
  DoRA: LORAS,
  TextualInversion: 'embeddings',
  VAE: 'vae',
  Upscaler: 'upscalers',
  Controlnet: 'controlnet',
};

/** Parses the number of `civitai:VERSION_ID`; undefined for other names. */
export function civitaiVersion(name: string): number | undefined {
  const id = /^civitai:(\d{1,15})$/.exec(name)?.[1];
  return id === undefined ? undefined : Number(id);
}

/**
 * Downloads one version of a model from Civitai: its primary file in safetensors, and its YAML config if there is one.
 * The file is verified against Civitai's SHA-256 before it is renamed into place; `NAME.civitai.info` next to it
 * contains Civitai's description. The words that a LoRA was trained with are also written to `NAME.json`, as A1111 stores
 * them, unless that file exists.
 *
 * @param name `civitai:VERSION_ID`; the id is the `modelVersionId` in the address of the web page
 * @throws INVALID_OPTION, MODEL_NOT_FOUND, ACCESS_DENIED, UNSUPPORTED_MODEL (only pickles), DOWNLOAD_FAILED,
 *   CHECKSUM_MISMATCH, FILE_NOT_WRITTEN, ABORTED
 */
export async function pullCivitai(name: string, options: PullCivitaiOptions = {}): Promise<PullResult> {
  const id = civitaiVersion(name);
  if (id === undefined) throw invalidOption('model', 'civitai:VERSION_ID', name);
  const env = options.env ?? process.env;
  if (isOffline(env))
    throw new SafelightError('DOWNLOAD_FAILED', `HF_HUB_OFFLINE is set; unset it to download ${name}`);
  const session = new Session(options);
  const connection = session.connection(civitaiToken(env));
  try {
    const { answer, version } = await describe(
      id,
      `${civitaiEndpoint(env)}/api/v1/model-versions/${id}`,
      connection,
    );
    const root = options.models ?? modelsFolder(env);
    const subfolder = FOLDERS[version.model?.type ?? ''] ?? '';
    const folder = join(root, subfolder);
    const isLora = subfolder === LORAS;
    const file = chooseFile(version, options.pickle ?? false);
    const fileName = checkedFileName(file.name, name);
    return await withLock(join(root, '.locks', `civitai-${id}.lock`), options, async () => {
      const path = join(folder, await freeName(folder, fileName, id, file, options.signal));
      session.expect(1, 0);
      const bytes = await fetchFile(path, file, name, session, connection, options);
      await fetchConfig(path, version, name, connection);
      await writeWhole(infoOf(path), `${JSON.stringify(answer, null, 2)}\n`);
      const triggerWords = isLora ? trimmedWords(version.trainedWords ?? []) : undefined;
      await writeTriggerWords(path, triggerWords ?? []);
      return {
        ...defined({ triggerWords }),
        name,
        path,
        version: `${id}`,
        files: [path.slice(folder.length + 1)],
        bytes,
        fetched: session.fetched,
      };
    });
  } catch (error) {
    if (options.signal?.aborted) throw aborted(options.signal.reason);
    throw error instanceof HttpFailure ? errorOf(name, error) : error;
  }
}

/** Returns the path of a file's `.civitai.info`. */
export function infoOf(path: string): string {
  return path.replace(/\.[^.]+$/, '.civitai.info');
}

async function describe(id: number, url: string, connection: Connection) {
  const answer = await withRetries(connection, () => requestJson(url, connection, 8 << 20));
  const version = versionSchema.safeParse(answer);
  if (!version.success || version.data.id !== id)
    throw new SafelightError('DOWNLOAD_FAILED', `${url} returned no model version of Civitai`);
  return { answer, version: version.data };
}

/** Chooses the primary file if it is not a pickle, else another file that is not; a pickle only if allowed. */
function chooseFile({ id, files }: CivitaiVersion, pickle: boolean): CivitaiFile {
  const models = files.filter(
    ({ type }) => type !== 'Training Data' && type !== 'Config' && type !== 'Archive',
  );
  const ranked = [...models].sort((a, b) => Number(b.primary ?? false) - Number(a.primary ?? false));
  const safe = ranked.find(
    ({ name, metadata }) => /\.(?:safetensors|gguf)$/i.test(name) && metadata?.format !== 'PickleTensor',
  );
  if (safe) return safe;
  const [first] = ranked.filter(({ name }) => /\.(?:ckpt|pt|pth|bin)$/i.test(name));
  if (first && pickle) return first;
  throw new SafelightError(
    'UNSUPPORTED_MODEL',
    first
      ? `civitai:${id} has only pickles (${first.name}), which can execute code when Python loads them; Safelight reads them without executing code: allow them with --pickle`
      : `civitai:${id} has no file in a supported format (${
          files
            .map(({ name }) => name)
            .join(', ')
            .slice(0, 200) || 'none'
        })`,
  );
}

/** Returns the file's name, or a variation of it if another file has that name. */
async function freeName(
  folder: string,
  name: string,
  id: number,
  file: CivitaiFile,
  signal: AbortSignal | undefined,
): Promise<string> {
  const path = join(folder, name);
  if (!(await stat(path).catch(() => undefined))) return name;
  const info = versionSchema.safeParse(parsedJson(await readFile(infoOf(path), 'utf8').catch(() => '')));
  if (info.success && info.data.id === id) return name;
  const checksum = checksumOf(file);
  if (checksum && (await fileHash(path, 'sha256', signal)) === checksum.value) return name;
  return name.replace(/(\.[^.]+)$/, `.${id}$1`);
}

async function fetchFile(
  path: string,
  file: CivitaiFile,
  name: string,
  session: Session,
  connection: Connection,
  { onNote, signal }: PullOptions,
): Promise<number> {
  const checksum = checksumOf(file);
  const existing = await stat(path).catch(() => undefined);
  if (existing && checksum && (await fileHash(path, 'sha256', signal)) === checksum.value) {
    session.add(file.name, existing.size, false);
    session.finished(file.name);
    return existing.size;
  }
  if (!checksum) onNote?.(`${file.name}: Civitai states no SHA-256 to verify it against`);
  const size = await remoteSize({ url: file.downloadUrl, name: file.name }, connection);
  session.expect(1, size ?? 0);
  await checkRoom(path, size ?? 0);
  await transfer(
    {
      url: file.downloadUrl,
      path,
      name: `${file.name} (${name})`,
      size,
      checksum,
      tag: checksum?.value ?? file.downloadUrl,
      onBytes: (bytes, now) => session.add(file.name, bytes, now),
    },
    connection,
  );
  session.finished(file.name);
  return (await stat(path)).size;
}

/** Downloads the YAML config under the checkpoint's name, where opening looks for it. */
async function fetchConfig(path: string, { files }: CivitaiVersion, name: string, connection: Connection) {
  const config = files.find(({ type, name: file }) => type === 'Config' && /\.ya?ml$/i.test(file));
  if (!config) return;
  const target = path.replace(/\.[^.]+$/, '.yaml');
  if (await stat(target).catch(() => undefined)) return;
  const checksum = checksumOf(config);
  const tag = config.downloadUrl;
  await transfer(
    { url: tag, path: target, name: `${config.name} (${name})`, checksum, tag, onBytes: () => undefined },
    connection,
  );
}

function checksumOf({ hashes }: CivitaiFile): Checksum | undefined {
  const value = hashes?.SHA256?.toLowerCase();
  return value !== undefined && /^[0-9a-f]{64}$/.test(value) ? { kind: 'sha256', value } : undefined;
}

function errorOf(name: string, failure: HttpFailure): SafelightError {
  const { status } = failure;
  if (status === 404)
    return new SafelightError(
      'MODEL_NOT_FOUND',
      `Civitai has no ${name}; the id is the number after modelVersionId= in the address of its web page`,
      { cause: failure },
    );
  if (status === 401 || status === 403)
    return new SafelightError(
      'ACCESS_DENIED',
      `${name} requires an account: create an API key at https://civitai.com/user/account and set CIVITAI_API_TOKEN to it`,
      { cause: failure },
    );
  return downloadFailed(`Downloading ${name}`, failure);
}

async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await renameFile(`${path}.new`, path);
}
