/** A repository on the hub: what files it has, and what the hub says of each. */
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
  /** Paths of its files, `/` between folders. */
  readonly files: readonly string[];
}

export interface RemoteFile {
  readonly path: string;
  readonly url: string;
  /** Its name among the cache's blobs. */
  readonly etag: string;
  readonly size: number | undefined;
  readonly checksum: Checksum | undefined;
}

const listing = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(z.object({ rfilename: z.string() })).max(1_000_000),
});

export class Repository {
  constructor(
    readonly id: string,
    readonly revision: string,
    private readonly hub: HubConnection,
  ) {}

  /** @throws ACCESS_DENIED, MODEL_NOT_FOUND, DOWNLOAD_FAILED */
  async list(): Promise<Listing> {
    const url = `${this.hub.endpoint}/api/models/${this.id}/revision/${encodeURIComponent(this.revision)}`;
    const found = listing.safeParse(
      await this.ask(`Listing ${this.id}`, () => requestJson(url, this.requestOptions)),
    );
    if (!found.success)
      throw new SafelightError(
        'DOWNLOAD_FAILED',
        `${url} answers with what is no list of files of a repository`,
      );
    const { sha, siblings } = found.data;
    const files = siblings.map(({ rfilename }) => rfilename);
    const unsafe = files.find((file) => !isSafePath(file));
    if (unsafe !== undefined)
      throw new SafelightError(
        'DOWNLOAD_FAILED',
        `${this.id} lists a file ${JSON.stringify(unsafe).slice(0, 80)}, which is no safe path; nothing was written`,
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
    const told = headers.get('x-repo-commit');
    // A name of a file on our disk, from somebody else.
    if (!/^[\w.-]{1,200}$/.test(etag) || /^\.+$/.test(etag) || (told !== null && told !== commit))
      throw new SafelightError(
        'DOWNLOAD_FAILED',
        `${url} does not tell which version of the file it is, as the hub does; is HF_ENDPOINT (${this.hub.endpoint}) a mirror of it?`,
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
      throw error instanceof HttpFailure ? this.explained(what, error) : error;
    }
  }

  /** What an answer means for who asks. */
  explained(what: string, failure: HttpFailure): SafelightError {
    const { status, headers } = failure;
    const code = headers.get('x-error-code');
    const page = `${this.hub.endpoint}/${this.id}`;
    const token =
      this.hub.token === undefined ? 'set HF_TOKEN to your token' : 'check that HF_TOKEN may read it';
    const denied = (sentence: string) => new SafelightError('ACCESS_DENIED', sentence, { cause: failure });
    const missing = (sentence: string) => new SafelightError('MODEL_NOT_FOUND', sentence, { cause: failure });
    if (code === 'GatedRepo')
      return denied(`${this.id} is gated: accept its terms at ${page}, ${token}, and run it again`);
    if (code === 'RevisionNotFound')
      return missing(
        `${this.id} has no revision '${this.revision}'; its branches and tags are at ${page}/tree/main`,
      );
    if (code === 'EntryNotFound')
      return missing(`${what} failed: ${this.id} has no such file at ${this.revision}`);
    // The hub does not tell a private repository from a missing one.
    if (code === 'RepoNotFound' || status === 401 || status === 404)
      return missing(
        `There is no repository ${this.id} at ${this.hub.endpoint}, or it is private: check the name, or ${token}`,
      );
    if (status === 403) return denied(`${this.id} may not be read: ${token}, and look at ${page}`);
    return downloadFailed(what, failure);
  }
}
