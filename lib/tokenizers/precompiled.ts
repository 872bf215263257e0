/**
 * The character map into which sentencepiece compiles its normalization rules (`precompiled_charsmap`: NFKC, and
 * replacements of white space and control characters), equal to the tokenizers library's `Precompiled` normalizer. The
 * blob consists of a 32-bit length, a double-array trie of that many bytes (Aoe 1989, in the unit layout of
 * darts-clone) and the zero-terminated replacements.
 */
import { SafelightError } from '../errors.js';

/** Longer grapheme clusters are replaced character by character. */
const LONGEST_CLUSTER = 5;
const MAX_BLOB = 64 * 1024 * 1024;
/** Maximum number of cached replacements. */
const MAX_CACHED = 65_536;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** UTF-16 units segmented at once: the time of `Intl.Segmenter` is quadratic in the length. */
const WINDOW = 128;

const encoder = new TextEncoder();
const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

export class PrecompiledMap {
  readonly #units: Uint32Array;
  readonly #replacements: Uint8Array;
  readonly #where: string;
  /** Cached replacements of characters and clusters; null if unchanged. */
  readonly #cache = new Map<string, string | null>();

  /**
   * @param base64 the blob as in tokenizer.json
   * @param where the file's name in messages
   * @throws INVALID_FILE
   */
  constructor(base64: string, where: string) {
    this.#where = where;
    if (base64.length > MAX_BLOB || !BASE64.test(base64)) throw this.#damaged('is not base64');
    const blob = Uint8Array.from(Buffer.from(base64, 'base64'));
    const size = blob.length >= 4 ? new DataView(blob.buffer).getUint32(0, true) : -1;
    if (size < 4 || size % 4 !== 0 || size > blob.length - 4)
      throw this.#damaged('has a trie of an impossible length');
    const view = new DataView(blob.buffer, 4, size);
    this.#units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 * i, true));
    this.#replacements = blob.subarray(4 + size);
    this.#decode(this.#replacements);
  }

  /**
   * Returns the text with every mapped character replaced.
   * @throws INVALID_FILE if the map refers to data outside itself
   */
  normalize(text: string): string {
    let out = '';
    for (const cluster of clustersOf(text)) out += this.#cluster(cluster);
    return out;
  }

  #cluster(cluster: string): string {
    const replaced = isShort(cluster) ? this.#replacement(cluster) : null;
    if (replaced !== null) return replaced;
    let out = '';
    for (const character of cluster) out += this.#replacement(character) ?? character;
    return out;
  }

  /**
   * Returns the replacement of the shortest mapped prefix of a character or cluster. As in the library, the rest of the
   * cluster is dropped with it.
   */
  #replacement(key: string): string | null {
    const cached = this.#cache.get(key);
    if (cached !== undefined) return cached;
    const at = this.#find(encoder.encode(key));
    const replacement = at < 0 ? null : this.#replacementAt(at);
    if (this.#cache.size >= MAX_CACHED) this.#cache.clear();
    this.#cache.set(key, replacement);
    return replacement;
  }

  /** Returns the offset of the replacement of the key's shortest mapped prefix; -1 for none. */
  #find(key: Uint8Array): number {
    let node = 0;
    let unit = this.#unit(node);
    node ^= offsetOf(unit);
    for (const byte of key) {
      // Zero marks leaves of the trie.
      if (byte === 0) return -1;
      node ^= byte;
      if (node >= this.#units.length) return -1;
      unit = this.#unit(node);
      if (labelOf(unit) !== byte) return -1;
      node ^= offsetOf(unit);
      if (hasLeaf(unit)) return this.#unit(node) & 0x7fffffff;
    }
    return -1;
  }

  #unit(node: number): number {
    const unit = this.#units[node];
    if (unit === undefined) throw this.#damaged('refers to a position outside its trie');
    return unit;
  }

  #replacementAt(start: number): string {
    if (start > this.#replacements.length)
      throw this.#damaged('refers to a position outside its replacements');
    const end = this.#replacements.indexOf(0, start);
    return this.#decode(this.#replacements.subarray(start, end < 0 ? undefined : end));
  }

  #decode(bytes: Uint8Array): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw this.#damaged('has replacements that are not UTF-8');
    }
  }

  #damaged(what: string): SafelightError {
    return new SafelightError(
      'INVALID_FILE',
      `${this.#where} has a precompiled_charsmap that ${what}; the tokenizer is damaged: download it again`,
    );
  }
}

/** Splits a text into extended grapheme clusters (Unicode UAX 29). */
function* clustersOf(text: string): Generator<string> {
  let size = WINDOW;
  for (let start = 0; start < text.length; ) {
    let end = Math.min(text.length, start + size);
    // Half a surrogate pair would end the preceding cluster.
    if (end < text.length && text.charCodeAt(end - 1) >>> 10 === 0x36) end--;
    const clusters = Array.from(segmenter.segment(text.slice(start, end)), ({ segment }) => segment);
    // The last cluster may be incomplete.
    if (end < text.length) clusters.pop();
    size = clusters.length === 0 ? 2 * size : WINDOW;
    for (const cluster of clusters) {
      yield cluster;
      start += cluster.length;
    }
  }
}

function isShort(cluster: string): boolean {
  return cluster.length <= LONGEST_CLUSTER && encoder.encode(cluster).length <= LONGEST_CLUSTER;
}

function hasLeaf(unit: number): boolean {
  return ((unit >>> 8) & 1) === 1;
}

/** Returns the label of a unit; a leaf's has the top bit set and equals no byte. */
function labelOf(unit: number): number {
  return (unit & 0x800000ff) >>> 0;
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
