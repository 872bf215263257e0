/**
 * A strict pull parser for JSON of a known structure, used for the headers of model files. `JSON.parse` silently keeps
 * the last of two equal keys and parses `1e400` as Infinity; an inconsistent file must be rejected instead.
 */

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LONE_SURROGATE = /\p{Surrogate}/u;
/**
 * With the two enclosing objects, serde_json's depth limit of 128, as in the reference; bounds the recursion of `skip`.
 */
const MAX_DEPTH = 125;

export class JsonScanner {
  private at = 0;

  /**
   * @param text the complete document
   * @param fail throws the caller's typed error with a clause such as `has a duplicate key "a"`
   */
  constructor(
    private readonly text: string,
    private readonly fail: (what: string) => never,
  ) {}

  /** Reads an object; `entry` must consume the value of each key. Fails on duplicate keys. */
  object(what: string, entry: (key: string) => void): void {
    this.expect('{', what);
    const seen = new Set<string>();
    if (this.accept('}')) return;
    do {
      const key = this.string(`a key of ${what}`);
      if (seen.has(key)) this.fail(`has the key ${JSON.stringify(key)} twice in ${what}`);
      seen.add(key);
      this.expect(':', what);
      entry(key);
    } while (this.accept(','));
    this.expect('}', what);
  }

  /** Reads an array; `item` must consume each element. */
  array(what: string, item: () => void): void {
    this.expect('[', what);
    if (this.accept(']')) return;
    do item();
    while (this.accept(','));
    this.expect(']', what);
  }

  string(what: string): string {
    this.space();
    const { text } = this;
    if (text[this.at] !== '"') this.fail(`expected a string for ${what} ${this.where()}`);
    const start = this.at;
    let escaped = false;
    let end = start + 1;
    for (; ; end++) {
      const code = text.charCodeAt(end);
      if (Number.isNaN(code)) this.fail(`ends inside a string (${what})`);
      if (code === 0x22) break;
      if (code < 0x20) this.fail(`has a control character inside a string (${what}) at character ${end}`);
      if (code === 0x5c) {
        escaped = true;
        end++;
      }
    }
    this.at = end + 1;
    const value = escaped ? this.unescape(text.slice(start, end + 1), what) : text.slice(start + 1, end);
    if (LONE_SURROGATE.test(value)) this.fail(`has an unpaired surrogate in a string (${what})`);
    return value;
  }

  /** Reads a non-negative integer without fraction or exponent, at most 2^53 - 1. */
  size(what: string): number {
    const token = this.number(what);
    if (!/^\d+$/.test(token))
      this.fail(`has ${shortened(token)} for ${what}, expected a non-negative integer`);
    const value = Number(token);
    if (!Number.isSafeInteger(value))
      this.fail(`has ${shortened(token)} for ${what}, which is implausibly large`);
    return value;
  }

  /** Reads and discards any value. */
  skip(what: string, depth = 0): void {
    if (depth > MAX_DEPTH) this.fail(`is nested too deeply in ${what}`);
    this.space();
    const first = this.text[this.at];
    if (first === '{') this.object(what, () => this.skip(what, depth + 1));
    else if (first === '[') this.array(what, () => this.skip(what, depth + 1));
    else if (first === '"') this.string(what);
    else if (!this.literal()) this.number(what);
  }

  /** Consumes `null` if it is the next value. */
  acceptNull(): boolean {
    this.space();
    if (!this.text.startsWith('null', this.at)) return false;
    this.at += 'null'.length;
    return true;
  }

  /** Checks that only white space follows. */
  end(): void {
    this.space();
    if (this.at < this.text.length) this.fail(`has data after its JSON ${this.where()}`);
  }

  private literal(): boolean {
    for (const word of ['true', 'false', 'null']) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return true;
      }
    }
    return false;
  }

  private number(what: string): string {
    this.space();
    NUMBER.lastIndex = this.at;
    const token = NUMBER.exec(this.text)?.[0];
    if (token === undefined) return this.fail(`expected a value for ${what} ${this.where()}`);
    this.at += token.length;
    return token;
  }

  private unescape(token: string, what: string): string {
    try {
      return JSON.parse(token) as string;
    } catch {
      return this.fail(`has an invalid escape in a string (${what})`);
    }
  }

  private expect(mark: string, what: string): void {
    if (!this.accept(mark)) this.fail(`expected ${JSON.stringify(mark)} in ${what} ${this.where()}`);
  }

  private accept(mark: string): boolean {
    this.space();
    if (this.text[this.at] !== mark) return false;
    this.at++;
    return true;
  }

  private space(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.at++;
    }
  }

  private where(): string {
    const character = this.text[this.at];
    return character === undefined
      ? 'but ends'
      : `but has ${JSON.stringify(character)} at character ${this.at}`;
  }
}

function shortened(token: string): string {
  return token.length > 24 ? `${token.slice(0, 24)}...` : token;
}
