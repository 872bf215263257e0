/** Names of repositories and their files, with the checks that keep paths from a server inside the download folder. */
import { SafelightError } from '../errors.js';

export interface RepositoryName {
  /** `owner/name` */
  readonly id: string;
  /** Branch, tag or commit; undefined for `main`. */
  readonly revision: string | undefined;
  /** Path of a file in the repository. */
  readonly file: string | undefined;
}

const PART = /^[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?$/;
const REVISION = /^[A-Za-z0-9_][\w./+-]{0,254}$/;
const RESERVED = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i;

/**
 * Parses `owner/name`, `owner/name@revision`, `owner/name/file` or `owner/name@revision:file`; undefined for other
 * text.
 */
export function parseRepository(text: string): RepositoryName | undefined {
  const match = /^([^/@\s]+\/[^/@\s]+)(?:@([^:\s]+))?(?:[:/](.+))?$/.exec(text);
  const [, id = '', revision, file] = match ?? [];
  if (!isRepositoryId(id)) return undefined;
  if (revision !== undefined && !isRevision(revision)) return undefined;
  if (file !== undefined && !isSafePath(file)) return undefined;
  return { id, revision, file };
}

/**
 * Applies the rules of huggingface_hub: at most 96 letters, digits, `-`, `_` and `.`, without `--` or `..`, not ending
 * in `.git`.
 */
export function isRepositoryId(id: string): boolean {
  const parts = id.split('/');
  return (
    parts.length === 2 &&
    id.length <= 96 &&
    parts.every((part) => PART.test(part)) &&
    !/--|\.\./.test(id) &&
    !id.endsWith('.git')
  );
}

function isRevision(text: string): boolean {
  return REVISION.test(text) && isSafePath(text);
}

/**
 * Returns true for a relative path with `/` that stays in its folder on every system: no `..`, drive, server or device.
 */
export function isSafePath(path: string): boolean {
  if (path === '' || path.length > 1024 || /[\\:*?"<>|]|\p{Cc}/u.test(path)) return false;
  return path
    .split('/')
    .every(
      (part) => part !== '' && part !== '.' && part !== '..' && !RESERVED.test(part) && !/[. ]$/.test(part),
    );
}

/** Checks an untrusted file name to be used within one folder. @throws DOWNLOAD_FAILED */
export function checkedFileName(name: unknown, source: string): string {
  if (typeof name === 'string' && !name.includes('/') && isSafePath(name) && !name.startsWith('.'))
    return name;
  throw new SafelightError(
    'DOWNLOAD_FAILED',
    `${source} names a file ${JSON.stringify(name)?.slice(0, 80)}, which is not a safe name; nothing was written`,
  );
}
