/** The state of the pickle stack machine: cursor, stack, marks and memo, each with limits. */
import type { Fail, PickleValue, Storage } from './values.js';

/** Limits far above the largest real checkpoints (200,000 steps), so that a hostile one ends in well under a second. */
const MAX_STEPS = 2_000_000;
const MAX_VALUES = 500_000;
const MAX_MEMO = 500_000;
const MAX_MARKS = 10_000;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Steps and values that all pickles of a file may use together. */
export class PickleBudget {
  private steps = 0;
  private created = 0;

  step(fail: Fail): void {
    if (++this.steps > MAX_STEPS) fail(`has a pickle of more than ${MAX_STEPS} steps`);
  }

  /** Counts everything that uses memory. */
  values(count: number, fail: Fail): void {
    this.created += count;
    if (this.created > MAX_VALUES) fail(`has a pickle that creates more than ${MAX_VALUES} values`);
  }
}

export interface PickleWorld {
  /** Path of the file, for messages. */
  readonly path: string;
  /** Throws INVALID_FILE with a clause. */
  readonly fail: Fail;
  readonly budget: PickleBudget;
  /** Returns the storage of a persistent id. */
  storage(id: readonly PickleValue[], fail: Fail): Storage;
}

export class Machine {
  /** Set by `finish`. */
  result: PickleValue | undefined;
  private readonly stack: PickleValue[] = [];
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, PickleValue>();
  private readonly view: DataView;

  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
    readonly world: PickleWorld,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  readonly fail: Fail = (what) => this.world.fail(`${what} (at byte ${this.at} of its pickle)`);

  // -- cursor

  /** Returns the next `length` bytes without a copy. */
  take(length: number): Uint8Array {
    if (length > this.bytes.length - this.at) this.fail('has a pickle that ends too early');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  u8(): number {
    this.take(1);
    return this.view.getUint8(this.at - 1);
  }

  u16(): number {
    this.take(2);
    return this.view.getUint16(this.at - 2, true);
  }

  u32(): number {
    this.take(4);
    return this.view.getUint32(this.at - 4, true);
  }

  i32(): number {
    this.take(4);
    return this.view.getInt32(this.at - 4, true);
  }

  /** Reads an 8-byte length; values above 2^53 exceed any pickle. */
  u64(): number {
    this.take(8);
    return Number(this.view.getBigUint64(this.at - 8, true));
  }

  /** Reads a double, the only big-endian number of the format. */
  f64(): number {
    this.take(8);
    return this.view.getFloat64(this.at - 8, false);
  }

  text(length: number): string {
    const bytes = this.take(length);
    try {
      return UTF8.decode(bytes);
    } catch {
      return this.fail('has text that is not UTF-8');
    }
  }

  /** Reads to the end of the line, the form of global names. */
  line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    // Longer than any class name.
    if (end < 0 || end - this.at > 1000) this.fail('has an unterminated name');
    const text = this.text(end - this.at);
    this.at = end + 1;
    return text;
  }

  // -- stack

  push(value: PickleValue): void {
    if (typeof value === 'object' && value !== null) this.world.budget.values(1, this.fail);
    this.stack.push(value);
  }

  /** Pops a value above the last mark. */
  pop(): PickleValue {
    if (this.stack.length <= (this.marks.at(-1) ?? 0))
      this.fail('has a pickle that pops from an empty stack');
    return this.stack.pop() ?? null;
  }

  top(): PickleValue {
    if (this.stack.length <= (this.marks.at(-1) ?? 0))
      this.fail('has a pickle that pops from an empty stack');
    return this.stack.at(-1) ?? null;
  }

  mark(): void {
    if (this.marks.length >= MAX_MARKS) this.fail('has a pickle with too many marks');
    this.marks.push(this.stack.length);
  }

  /** Pops everything above the last mark, and the mark. */
  popMark(): PickleValue[] {
    const mark = this.marks.pop();
    return mark === undefined ? this.fail('has a pickle that pops a missing mark') : this.stack.splice(mark);
  }

  /** Takes the top of the stack as the pickle's result. */
  finish(): void {
    this.result = this.pop();
  }

  // -- memo

  memoize(index: number): void {
    if (this.memo.size >= MAX_MEMO) this.fail('has a pickle with too large a memo');
    this.memo.set(index, this.top());
  }

  get memoSize(): number {
    return this.memo.size;
  }

  recall(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) this.fail('has a pickle that reads a missing memo entry');
    else this.stack.push(value);
  }
}
