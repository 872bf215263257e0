/** Names of repositories and of the files in them: the rules that keep a server's answer from naming a place outside its folder. */
import { SafelightError } from '../errors.js';

export interface RepositoryName {
  /** `owner/name` */
  readonly id: string;
  /** branch, tag or commit; undefined: `main` */
  readonly revision: string | undefined;
  /** a file of the repository, by its path in it */
  readonly file: string | undefined;
}

const PART = /^[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?$/;
const REVISION = /^[A-Za-z0-9_][\w./+-]{0,254}$/;
const RESERVED = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i;

/** `owner/name`, `owner/name@revision`, `owner/name/file`, `owner/name@revision:file`; undefined for what is none. */
export function parseRepository(text: string): RepositoryName | undefined {
  const found = /^([^/@\s]+\/[^/@\s]+)(?:@([^:\s]+))?(?:[:/](.+))?$/.exec(text);
  const [, id = '', revision, file] = found ?? [];
  if (!isRepositoryId(id)) return undefined;
  if (revision !== undefined && !isRevision(revision)) return undefined;
  if (file !== undefined && !isSafePath(file)) return undefined;
  return { id, revision, file };
}

/** As huggingface_hub checks it: at most 96 of letters, digits, `-`, `_` and `.`, without `--` or `..`, and not ending in `.git`. */
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

/** A relative path with `/` that stays below where it begins on every system: no `..`, no drive, no server, no device. */
export function isSafePath(path: string): boolean {
  if (path === '' || path.length > 1024 || /[\\:*?"<>|]|\p{Cc}/u.test(path)) return false;
  return path
    .split('/')
    .every(
      (part) => part !== '' && part !== '.' && part !== '..' && !RESERVED.test(part) && !/[. ]$/.test(part),
    );
}

/** A file name that somebody else made up, as a name in one folder. @throws DOWNLOAD_FAILED */
export function checkedFileName(name: unknown, source: string): string {
  if (typeof name === 'string' && !name.includes('/') && isSafePath(name) && !name.startsWith('.'))
    return name;
  throw new SafelightError(
    'DOWNLOAD_FAILED',
    `${source} names a file ${JSON.stringify(name)?.slice(0, 80)}, which is no safe name; nothing was written`,
  );
}
