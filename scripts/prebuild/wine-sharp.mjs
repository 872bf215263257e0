// @ts-check
/**
 * Stands in for sharp under wine, where sharp's library does not load. It encodes raw pixels as PNG, which is all that
 * `safelight generate` without an input image needs; everything else is a TypeError.
 */
import { deflateSync } from 'node:zlib';

/**
 * @param {Uint8Array} data `[height, width, channels]`, 8 bits
 * @param {{ raw: { width: number, height: number, channels: 3 | 4 } }} options
 */
export default function sharp(data, { raw }) {
  const toBuffer = async () => encode(data, raw);
  return { png: () => ({ toBuffer }) };
}

/**
 * @param {Uint8Array} data
 * @param {{ width: number, height: number, channels: 3 | 4 }} size
 */
function encode(data, { width, height, channels }) {
  const row = width * channels;
  const rows = Buffer.alloc(height * (row + 1)); // each row begins with its filter, 0 for none
  for (let y = 0; y < height; y++) rows.set(data.subarray(y * row, (y + 1) * row), y * (row + 1) + 1);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, channels === 3 ? 2 : 6, 0, 0, 0], 8);
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** @param {string} type @param {Buffer} data */
function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  out.set(body, 4);
  out.writeUInt32BE(checksum(body), body.length + 4);
  return out;
}

/** Returns the CRC-32 of PNG; zlib.crc32 is not in Node.js 20. @param {Uint8Array} bytes */
function checksum(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
