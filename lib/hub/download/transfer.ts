/**
 * Downloads one file in parallel parts, with resumption and verification; the file gets its name only once it is
 * complete.
 */
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { onAbort, SafelightError } from '../../errors.js';
import { removeFile, renameFile } from '../../files/replace.js';
import { type Checksum, fileHash } from './checksum.js';
import { type Answer, downloadFailed, HttpFailure, request } from './http.js';
import { type Part, Parts } from './parts.js';
import { type Gate, withRetries } from './retry.js';

export interface Connection {
  readonly token?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Limits the concurrent parts of all files. */
  readonly gate: Gate;
  /** RequestOptions.patience */
  readonly patience: number;
  /** RetryOptions */
  readonly attempts: number;
  readonly pause: number;
}

export interface Transfer {
  readonly url: string;
  /** Path of the complete file. */
  readonly path: string;
  /** Name in messages. */
  readonly name: string;
  readonly size?: number | undefined;
  readonly checksum?: Checksum | undefined;
  /** Version of the file in addition to its size; a partial file of another version is discarded. */
  readonly tag: string;
  /** Called with bytes downloaded now or by earlier runs, or (negative) discarded. */
  readonly onBytes: (count: number, now: boolean) => void;
}

/** The server does not support range requests for this file. */
class NoParts extends Error {}

/** The content differs from what the server stated; the download is retried once from the start. */
class Mismatch extends Error {}

/** Returns the path of a file while it is incomplete. */
export function partialOf(path: string): string {
  return `${path}.safelight-part`;
}

/** Milliseconds between two saves of the state. */
const SAVE_INTERVAL = 200;

/**
 * Downloads a file. What has been downloaded stays next to the destination for the next run, unless it was wrong.
 * @throws DOWNLOAD_FAILED, CHECKSUM_MISMATCH, FILE_NOT_WRITTEN, HttpFailure for permanent failures (401, 404 ...), the
 *   signal's reason
 */
export async function transfer(file: Transfer, connection: Connection): Promise<void> {
  const partial = partialOf(file.path);
  try {
    await mkdir(dirname(file.path), { recursive: true });
    for (let attempt = 1; ; attempt++) {
      try {
        await fetchInto(partial, file, connection);
        await check(partial, file, connection.signal);
        break;
      } catch (error) {
        if (!(error instanceof Mismatch)) throw error;
        await removeFile(partial, { force: true });
        if (attempt === 2) throw mismatch(file, error);
      }
    }
    await renameFile(partial, file.path);
  } catch (error) {
    connection.signal?.throwIfAborted();
    if (error instanceof HttpFailure) {
      if (error.transient || error.status === 422) throw downloadFailed(`Downloading ${file.name}`, error);
      throw error;
    }
    throw notWritten(file.path, error);
  }
}

async function fetchInto(partial: string, file: Transfer, connection: Connection): Promise<void> {
  const handle = await open(partial, 'a').then(async (created) => {
    await created.close();
    return open(partial, 'r+');
  });
  try {
    if (file.size !== undefined && file.size > 0) {
      try {
        return await inParts(handle, partial, file.size, file, connection);
      } catch (error) {
        if (!(error instanceof NoParts)) throw error;
      }
    }
    await singleRequest(handle, file, connection);
  } finally {
    await handle.close();
  }
}

async function inParts(
  handle: FileHandle,
  partial: string,
  size: number,
  file: Transfer,
  connection: Connection,
): Promise<void> {
  const parts = await Parts.open(`${partial}.json`, size, file.tag);
  if ((await handle.stat()).size !== size) {
    parts.clear();
    await handle.truncate(size); // sparse: space is allocated as parts arrive
  }
  file.onBytes(parts.bytes, false);
  const stop = new AbortController();
  const { signal } = stop;
  const outer = connection.signal;
  const unlisten = outer && onAbort(outer, () => stop.abort(outer.reason));
  let savedAt = performance.now();
  const save = async () => {
    if (performance.now() - savedAt < SAVE_INTERVAL) return;
    savedAt = performance.now();
    saving = saving.then(() => parts.save());
    await saving;
  };
  let saving = parts.save();
  const results = await Promise.allSettled(
    parts.missing().map((part) =>
      connection.gate.run(() =>
        fetchPart(handle, parts, part, file, { ...connection, signal }, save).catch((error: unknown) => {
          stop.abort(error);
          throw error;
        }),
      ),
    ),
  );
  unlisten?.();
  await saving;
  // The first failure aborts the other parts.
  if (results.some(({ status }) => status === 'rejected')) {
    const reason: unknown = stop.signal.reason;
    if (connection.signal?.aborted) await parts.save();
    else if (reason instanceof NoParts || reason instanceof Mismatch) {
      file.onBytes(-parts.bytes, false);
      await parts.forget();
    } else await parts.save();
    throw reason;
  }
  await parts.forget();
}

async function fetchPart(
  handle: FileHandle,
  parts: Parts,
  part: Part,
  file: Transfer,
  connection: Connection,
  save: () => Promise<void>,
): Promise<void> {
  await withRetries(connection, async (gained) => {
    const from = parts.next(part);
    if (from >= part.end) return;
    const answer = await requestFile(file, connection, {
      range: `bytes=${from}-${part.end - 1}`,
    }).catch((error: unknown) => {
      // The server rejects the range: the file has changed, or it does not support ranges.
      if (error instanceof HttpFailure && error.status === 416) throw new NoParts();
      throw error;
    });
    if (answer.status !== 206) {
      answer.cancel();
      throw new NoParts();
    }
    const range = answer.headers.get('content-range') ?? '';
    const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? [];
    if (Number(first) !== from || (total !== '*' && Number(total) !== parts.size)) {
      answer.cancel();
      throw new Mismatch(`the server sent the range '${range}', expected a file of ${parts.size} bytes`);
    }
    let at = from;
    for await (const chunk of answer.body()) {
      const piece = chunk.subarray(0, part.end - at);
      await writeAll(handle, piece, at);
      at += piece.length;
      parts.add(part, piece.length);
      file.onBytes(piece.length, true);
      gained();
      await save();
      if (at === part.end) break;
    }
    if (at < part.end) throw cutShort(file, part.end - at);
  });
}

/** Downloads the file with a single request, if the server does not support ranges or does not state the size. */
async function singleRequest(handle: FileHandle, file: Transfer, connection: Connection): Promise<void> {
  await connection.gate.run(() =>
    withRetries(connection, async () => {
      await handle.truncate(0);
      const answer = await requestFile(file, connection);
      let at = 0;
      try {
        for await (const chunk of answer.body()) {
          if (file.size !== undefined && at + chunk.length > file.size)
            throw new Mismatch(`the server sent more than ${file.size} bytes`);
          await writeAll(handle, chunk, at);
          at += chunk.length;
          file.onBytes(chunk.length, true);
        }
        const stated = Number(answer.headers.get('content-length') ?? Number.NaN);
        const size = file.size ?? (Number.isFinite(stated) ? stated : at);
        if (at < size) throw cutShort(file, size - at);
      } catch (error) {
        file.onBytes(-at, false);
        throw error;
      }
    }),
  );
}

async function check(
  partial: string,
  { checksum, onBytes, size }: Transfer,
  signal: AbortSignal | undefined,
) {
  if (checksum === undefined) return;
  const value = await fileHash(partial, checksum.kind, signal);
  if (value === checksum.value) return;
  onBytes(-(size ?? 0), false);
  throw new Mismatch(`its ${checksum.kind} is ${value}, not ${checksum.value}`);
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}

/** Requests the file. An HTML page in its place is a login page, reported as status 401. */
async function requestFile(
  { url, name }: Pick<Transfer, 'url' | 'name'>,
  { token, signal, patience }: Connection,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const answer = await request(url, { token, signal, patience, headers });
  if (!answer.headers.get('content-type')?.startsWith('text/html') || /\.html?\b/.test(name)) return answer;
  answer.cancel();
  throw new HttpFailure('the server returned a web page', 401, answer.headers);
}

/** Returns the size of a file that the server states, or undefined. @throws HttpFailure */
export async function remoteSize(
  file: Pick<Transfer, 'url' | 'name'>,
  connection: Connection,
): Promise<number | undefined> {
  return withRetries(connection, async () => {
    const answer = await requestFile(file, connection, { range: 'bytes=0-0' });
    answer.cancel();
    const total = /\/(\d{1,15})$/.exec(answer.headers.get('content-range') ?? '')?.[1];
    return answer.status === 206 && total !== undefined ? Number(total) : undefined;
  });
}

function cutShort(file: Transfer, missing: number): HttpFailure {
  return new HttpFailure(
    `the connection ended ${missing} bytes before the end of ${file.name}`,
    0,
    new Headers(),
  );
}

function mismatch({ name, url }: Transfer, { message }: Mismatch): SafelightError {
  return new SafelightError(
    'CHECKSUM_MISMATCH',
    `${name} was downloaded incorrectly from ${new URL(url).host} twice: ${message}. The data was discarded; try again later, or report it to the publisher`,
  );
}

function notWritten(path: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (error instanceof SafelightError || typeof code !== 'string' || !/^E[A-Z]+$/.test(code)) return error;
  const why =
    code === 'ENOSPC' ? 'the disk is full; free some space and run it again' : (error as Error).message;
  return new SafelightError('FILE_NOT_WRITTEN', `Cannot write '${path}': ${why}`, { cause: error });
}
