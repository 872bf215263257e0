/** A repository of the hub: its list of files, and the hub's metadata of each. */
import { z } from 'zod';
import { SafelightError } from '../errors.js';
import { type Checksum, checksumOfETag } from './download/checksum.js';
import { downloadFailed, HttpFailure, type RequestOptions, request, requestJson } from './download/http.js';
import { type RetryOptions, withRetries } from './download/retry.js';
import { isSafePath } from './names.js';

export interface HubConnection extends RetryOptions {
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly patience: number;
}

export interface Listing {
  readonly commit: string;
  /** Paths of its files, with `/`. */
  readonly files: readonly string[];
}

export interface RemoteFile {
  readonly path: string;
  readonly url: string;
  /** Name of the file's blob in the cache. */
  readonly etag: string;
  readonly size: number | undefined;
  readonly checksum: Checksum | undefined;
}

const listing = z.lazy(() =>
  z.object({
    sha: z.string().regex(/^[0-9a-f]{40}$/),
    siblings: z.array(z.object({ rfilename: z.string() })).max(1_000_000),
  }),
);

export class Repository {
  constructor(
    readonly id: string,
    readonly revision: string,
    private readonly hub: HubConnection,
  ) {}

  /** @throws ACCESS_DENIED, MODEL_NOT_FOUND, DOWNLOAD_FAILED */
  async list(): Promise<Listing> {
    const url = `${this.hub.endpoint}/api/models/${this.id}/revision/${encodeURIComponent(this.revision)}`;
    const parsed = listing.safeParse(
      await this.ask(`Listing ${this.id}`, () => requestJson(url, this.requestOptions)),
    );
    if (!parsed.success)
      throw new SafelightError('DOWNLOAD_FAILED', `${url} did not return the list of files of a repository`);
    const { sha, siblings } = parsed.data;
    const files = siblings.map(({ rfilename }) => rfilename);
    const unsafe = files.find((file) => !isSafePath(file));
    if (unsafe !== undefined)
      throw new SafelightError(
        'DOWNLOAD_FAILED',
        `${this.id} lists a file ${JSON.stringify(unsafe).slice(0, 80)}, which is not a safe path; nothing was written`,
      );
    return { commit: sha, files };
  }

  /** @throws as `list` */
  async stat(commit: string, path: string): Promise<RemoteFile> {
    const url = `${this.hub.endpoint}/${this.id}/resolve/${encodeURIComponent(commit)}/${path.split('/').map(encodeURIComponent).join('/')}`;
    const { headers, status } = await this.ask(`Looking up ${path} of ${this.id}`, () =>
      request(url, { ...this.requestOptions, method: 'HEAD', follow: 'relative' }),
    );
    const etag = (headers.get('x-linked-etag') ?? headers.get('etag') ?? '')
      .replace(/^W\//, '')
      .replaceAll('"', '');
    const length = headers.get('x-linked-size') ?? (status < 300 ? headers.get('content-length') : null);
    const statedCommit = headers.get('x-repo-commit');
    // The etag becomes the name of a local file, so it must be a safe name.
    if (
      !/^[\w.-]{1,200}$/.test(etag) ||
      /^\.+$/.test(etag) ||
      (statedCommit !== null && statedCommit !== commit)
    )
      throw new SafelightError(
        'DOWNLOAD_FAILED',
        `${url} does not state the version of the file; check that HF_ENDPOINT (${this.hub.endpoint}) is the hub or a complete mirror`,
      );
    const size = length !== null && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
    return { path, url, etag, size, checksum: checksumOfETag(etag) };
  }

  private get requestOptions(): RequestOptions {
    const { token, signal, patience } = this.hub;
    return { token, signal, patience };
  }

  private async ask<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await withRetries(this.hub, work);
    } catch (error) {
      this.hub.signal?.throwIfAborted();
      throw error instanceof HttpFailure ? this.errorOf(what, error) : error;
    }
  }

  /** Returns the typed error of a failed request. */
  errorOf(what: string, failure: HttpFailure): SafelightError {
    const { status, headers } = failure;
    const code = headers.get('x-error-code');
    const page = `${this.hub.endpoint}/${this.id}`;
    const token =
      this.hub.token === undefined ? 'set HF_TOKEN to your token' : 'check that HF_TOKEN has access to it';
    const denied = (sentence: string) => new SafelightError('ACCESS_DENIED', sentence, { cause: failure });
    const missing = (sentence: string) => new SafelightError('MODEL_NOT_FOUND', sentence, { cause: failure });
    if (code === 'GatedRepo')
      return denied(`${this.id} is gated: accept its terms at ${page}, ${token}, and download it again`);
    if (code === 'RevisionNotFound')
      return missing(
        `${this.id} has no revision '${this.revision}'; its branches and tags are at ${page}/tree/main`,
      );
    if (code === 'EntryNotFound')
      return missing(`${what} failed: ${this.id} has no such file at ${this.revision}`);
    // The hub's answers for private and for missing repositories are the same.
    if (code === 'RepoNotFound' || status === 401 || status === 404)
      return missing(
        `There is no repository ${this.id} at ${this.hub.endpoint}, or it is private: check the name, or ${token}`,
      );
    if (status === 403) return denied(`${this.id} cannot be accessed: ${token}, and see ${page}`);
    return downloadFailed(what, failure);
  }
}
