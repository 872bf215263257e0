/** The parts of the stack machine that a pickle drives: cursor, stack, marks and memo, each with its limits. */
import type { Fail, PickleValue, Storage } from './values.js';

/** Far above the largest real checkpoints (two hundred thousand steps), so that a hostile one ends in well under a second. */
const MAX_STEPS = 2_000_000;
const MAX_VALUES = 500_000;
const MAX_MEMO = 500_000;
const MAX_MARKS = 10_000;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What a pickle may cost, together with those that follow it in the same file. */
export class PickleBudget {
  private steps = 0;
  private made = 0;

  step(fail: Fail): void {
    if (++this.steps > MAX_STEPS) fail(`has a pickle of more than ${MAX_STEPS} steps`);
  }

  /** Counts whatever takes memory. */
  values(count: number, fail: Fail): void {
    this.made += count;
    if (this.made > MAX_VALUES) fail(`has a pickle that makes more than ${MAX_VALUES} values`);
  }
}

export interface PickleWorld {
  /** For messages. */
  readonly path: string;
  /** Throws INVALID_FILE; gets a clause. */
  readonly fail: Fail;
  readonly budget: PickleBudget;
  /** A storage by what `torch.save` wrote in its place. */
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

  /** The next `length` bytes, not copied. */
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

  /** A length of eight bytes; whatever a number cannot hold is longer than any pickle. */
  u64(): number {
    this.take(8);
    return Number(this.view.getBigUint64(this.at - 8, true));
  }

  /** The only number that is big-endian. */
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

  /** Up to the end of the line, as names of globals are written. */
  line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    // Names of classes; a longer one is none.
    if (end < 0 || end - this.at > 1000) this.fail('has a name without an end');
    const text = this.text(end - this.at);
    this.at = end + 1;
    return text;
  }

  // -- stack

  push(value: PickleValue): void {
    if (typeof value === 'object' && value !== null) this.world.budget.values(1, this.fail);
    this.stack.push(value);
  }

  /** Never takes what lies below the last mark. */
  pop(): PickleValue {
    if (this.stack.length <= (this.marks.at(-1) ?? 0))
      this.fail('has a pickle that takes more than it has put');
    return this.stack.pop() ?? null;
  }

  top(): PickleValue {
    if (this.stack.length <= (this.marks.at(-1) ?? 0))
      this.fail('has a pickle that takes more than it has put');
    return this.stack.at(-1) ?? null;
  }

  mark(): void {
    if (this.marks.length >= MAX_MARKS) this.fail('has a pickle with too many open groups');
    this.marks.push(this.stack.length);
  }

  /** Everything above the last mark, which goes too. */
  popMark(): PickleValue[] {
    const mark = this.marks.pop();
    return mark === undefined
      ? this.fail('has a pickle that closes a group it never opened')
      : this.stack.splice(mark);
  }

  /** What is on top is what the pickle was about. */
  finish(): void {
    this.result = this.pop();
  }

  // -- memo

  memoize(index: number): void {
    if (this.memo.size >= MAX_MEMO) this.fail('has a pickle that remembers too much');
    this.memo.set(index, this.top());
  }

  get memoSize(): number {
    return this.memo.size;
  }

  recall(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) this.fail('has a pickle that recalls what it never kept');
    else this.stack.push(value);
  }
}
