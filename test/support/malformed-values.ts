/** Malformed arguments for any function, and the expected result: a typed error or a return value. */
import { SafelightError } from '../../lib/errors.js';
import { Tensor } from '../../lib/tensor/tensor.js';

/** A tensor whose memory was transferred to another thread. */
export function detachedTensor(shape: readonly number[]): Tensor {
  const data = new Float32Array(shape.reduce((product, side) => product * side, 1));
  const tensor = new Tensor(data, shape);
  structuredClone(data, { transfer: [data.buffer] });
  return tensor;
}

function junk(): unknown[] {
  return [
    ...[undefined, null, true, false, 0, -1, 1.5, 1e9, Number.NaN, Number.POSITIVE_INFINITY, 7n],
    ...['', 'x', '\0', 'constructor', '\ud800', Symbol('junk'), () => 1],
    ...[[], [1], [-1, 2], ['x'], [null], [[]], [[1], [1, 2]], [[Number.NaN]], new Array(3)],
    ...[
      {},
      { data: 1 },
      { shape: [1] },
      { signal: 1 },
      { length: 3 },
      Object.create(null),
      Object.freeze({ x: 1 }),
    ],
    ...[new Map(), new Set(), new Date(0), /x/, new Error('x'), Promise.resolve(1), new AbortController()],
    ...[
      new Uint8Array(0),
      new Uint8Array(5),
      new Float32Array(3),
      new Int32Array(4),
      new ArrayBuffer(8),
      Buffer.from('x'),
    ],
    ...[
      Tensor.zeros([]),
      Tensor.zeros([0]),
      Tensor.zeros([1, 3, 5, 5]),
      Tensor.zeros([2, 7]),
      detachedTensor([1, 4, 8, 8]),
    ],
    ...[
      new Tensor(new Int32Array(4), [1, 2, 2]),
      new Tensor(new Float64Array(2), [1, 2]),
      Tensor.from(new Float32Array(256).fill(Number.NaN), [1, 4, 8, 8]),
    ],
  ];
}

const settled = async (call: () => unknown): Promise<unknown> => {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return undefined;
};

/** Failures since the list was last emptied; collected, so that one run shows all. */
export const failures: string[] = [];

/** @returns true if there was an error; one that is not a SafelightError is a failure */
async function isRefused(what: string, call: () => unknown): Promise<boolean> {
  const error = await settled(call);
  if (error === undefined) return false;
  const typed = error instanceof SafelightError && error.code !== 'INTERNAL';
  const plain = /undefined is not|cannot read prop|is not a function|is not iterable|\[object/i;
  if (!typed || plain.test(error.message))
    failures.push(
      `${what}: ${error instanceof Error ? error.stack?.split('\n').slice(0, 3).join(' ') : String(error)}`,
    );
  return true;
}

function shown(value: unknown): string {
  if (value instanceof Tensor) return `Tensor [${value.shape.join()}]`;
  try {
    return typeof value === 'object'
      ? `${Object.prototype.toString.call(value)} ${JSON.stringify(value)}`.slice(0, 60)
      : String(value);
  } catch {
    return typeof value;
  }
}

/**
 * Calls a function with each argument, and each option of arguments that are plain objects, replaced by
 * malformed values.
 * @param given arguments of a valid call; created again for each call
 */
export async function tryJunk(
  name: string,
  call: (...args: never[]) => unknown,
  given: () => unknown[],
  use: (result: unknown) => unknown = (result) => result,
): Promise<void> {
  const attempt = (args: unknown[], what: string) =>
    isRefused(`${name}(${what})`, async () => use(await call(...(args as never[]))));
  const count = given().length;
  for (let i = 0; i < count; i++) {
    for (const [n, value] of junk().entries()) {
      const args = given();
      args[i] = junk()[n];
      await attempt(args, `argument ${i}: ${shown(value)}`);
    }
    const original = given()[i];
    if (
      typeof original !== 'object' ||
      original === null ||
      Object.getPrototypeOf(original) !== Object.prototype
    )
      continue;
    for (const key of Object.keys(original)) {
      for (const [n, value] of junk().entries()) {
        const args = given();
        args[i] = { ...(args[i] as object), [key]: junk()[n] };
        await attempt(args, `${key}: ${shown(value)}`);
      }
    }
    // Images, components and encodings may have more fields than are read.
    if (['data', 'weights', 'context', 'fields'].some((key) => key in original)) continue;
    const refused = await attempt(
      given().map((arg, k) => (k === i ? { ...(arg as object), unknownOption: 1 } : arg)),
      'an unknown option',
    );
    if (!refused) failures.push(`${name}: an unknown option is not refused`);
  }
}
