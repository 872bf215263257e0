// @ts-check
/** Writes safetensors files with random f16 weights, which need the same time and memory as trained ones. */
import { closeSync, openSync, writeSync } from 'node:fs';

const view = new DataView(new ArrayBuffer(4));

/** @param {readonly number[]} shape */
const count = (shape) => shape.reduce((a, b) => a * b, 1);

/**
 * @param {Map<string, readonly number[]>} shapes
 * @param {string} path an existing file is replaced
 */
export function writeRandom(shapes, path) {
  /** @type {Record<string, unknown>} */
  const header = {};
  let end = 0;
  for (const [name, shape] of shapes) {
    const begin = end;
    end += 2 * count(shape);
    header[name] = { dtype: 'F16', shape, data_offsets: [begin, end] };
  }
  // Padded so that the data begins at a multiple of 8, as in files of other writers.
  const json = JSON.stringify(header);
  const text = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));

  // Values come from one table of 2^20 + 7 approximately normal f16 numbers, read repeatedly from changing offsets.
  const table = new Float32Array((1 << 20) + 7);
  let state = 12345;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  for (let i = 0; i < table.length; i++)
    table[i] = (uniform() + uniform() + uniform() + uniform() - 2) * Math.sqrt(3);

  const file = openSync(path, 'w');
  writeSync(file, length);
  writeSync(file, text);
  let place = 0;
  for (const [name, shape] of shapes) {
    const n = count(shape);
    const fanIn = n / (shape[0] ?? 1);
    const bias = name.endsWith('bias');
    const offset = shape.length === 1 && !bias ? 1 : 0;
    const scale = shape.length === 1 ? 0.02 : name.includes('embedding') ? 0.02 : 1 / Math.sqrt(fanIn);
    const chunk = new Uint16Array(Math.min(n, 1 << 20));
    for (let i = 0; i < chunk.length; i++)
      chunk[i] = half((table[(place + i) % table.length] ?? 0) * scale + offset);
    place += 7919;
    for (let done = 0; done < n; done += chunk.length)
      writeSync(file, chunk, 0, 2 * Math.min(chunk.length, n - done));
  }
  closeSync(file);
}

/** Returns the nearest normal f16 number; subnormal ones become 0. @param {number} value */
function half(value) {
  view.setFloat32(0, value);
  const bits = view.getUint32(0);
  const exponent = ((bits >>> 23) & 255) - 112;
  if (exponent <= 0) return 0;
  return ((bits >>> 16) & 0x8000) | ((exponent << 10) + (((bits & 0x7fffff) + 0x1000) >>> 13));
}
