/** Reads GGUF's numbers and strings sequentially from the beginning of a file of which only a part may be in memory. */

/** Thrown if the bytes in memory end too early but the file does not: the caller reads more and parses again. */
export class NeedMoreBytes extends Error {}

export type Fail = (what: string) => never;

export class GgufCursor {
  private at = 0;
  private readonly view: DataView;

  /**
   * @param bytes the file's first bytes
   * @param size size of the file in bytes
   * @param fail throws the caller's typed error with a clause
   */
  constructor(
    private readonly bytes: Uint8Array,
    private readonly size: number,
    readonly fail: Fail,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Offset from the file's beginning in bytes. */
  get position(): number {
    return this.at;
  }

  /** Bytes from the position to the file's end. */
  get left(): number {
    return this.size - this.at;
  }

  /** Skips `count` bytes. @returns the offset of the first one */
  skip(count: number, what: string): number {
    if (count > this.left) this.fail(`ends inside ${what} (truncated)`);
    if (count > this.bytes.length - this.at) throw new NeedMoreBytes();
    this.at += count;
    return this.at - count;
  }

  u8(what: string): number {
    return this.view.getUint8(this.skip(1, what));
  }

  u32(what: string): number {
    return this.view.getUint32(this.skip(4, what), true);
  }

  f32(what: string): number {
    return this.view.getFloat32(this.skip(4, what), true);
  }

  f64(what: string): number {
    return this.view.getFloat64(this.skip(8, what), true);
  }

  u64(what: string): bigint {
    return this.view.getBigUint64(this.skip(8, what), true);
  }

  /** Reads a little-endian integer of `size` bytes. */
  integer(size: 1 | 2 | 4 | 8, signed: boolean, what: string): number | bigint {
    const at = this.skip(size, what);
    if (size === 1) return signed ? this.view.getInt8(at) : this.view.getUint8(at);
    if (size === 2) return signed ? this.view.getInt16(at, true) : this.view.getUint16(at, true);
    if (size === 4) return signed ? this.view.getInt32(at, true) : this.view.getUint32(at, true);
    return signed ? this.view.getBigInt64(at, true) : this.view.getBigUint64(at, true);
  }

  /** Reads a 64-bit count of items of at least `each` bytes, which may not exceed the rest of the file. */
  count(what: string, each: number, largest = Number.MAX_SAFE_INTEGER): number {
    const value = this.u64(what);
    if (value > BigInt(largest)) this.fail(`states ${value} for ${what}, expected at most ${largest}`);
    const count = Number(value);
    if (count * each > this.left) {
      this.fail(`states ${count} for ${what} but has only ${this.left} more bytes (truncated or damaged)`);
    }
    return count;
  }

  /** Reads a string's bytes without its length. */
  stringBytes(what: string, largest: number): Uint8Array {
    const length = this.count(`the length of ${what}`, 1, largest);
    const at = this.skip(length, what);
    return this.bytes.subarray(at, at + length);
  }

  string(what: string, largest: number): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
        this.stringBytes(what, largest),
      );
    } catch (error) {
      if (error instanceof TypeError) this.fail(`is not UTF-8 text in ${what}`);
      throw error;
    }
  }
}
