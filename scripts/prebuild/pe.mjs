// @ts-check
/** Reads what a Windows binary (PE32+) imports and exports. */
import { readFileSync } from 'node:fs';

/** Indexes of the data directories of a PE file. */
const EXPORTS = 0;
const IMPORTS = 1;

/**
 * Returns the libraries that a Windows binary loads and the names that it exports.
 * @param {string} file
 */
export function windowsLinks(file) {
  const bytes = readFileSync(file);
  const header = bytes.readUInt32LE(0x3c);
  const optional = header + 24;
  if (bytes.toString('latin1', header, header + 2) !== 'PE' || bytes.readUInt16LE(optional) !== 0x20b)
    throw new Error(`${file} is not a 64-bit Windows binary`);
  const sections = Array.from({ length: bytes.readUInt16LE(header + 6) }, (_, i) => {
    const at = optional + bytes.readUInt16LE(header + 20) + i * 40;
    const [size, address, stored, offset] = [8, 12, 16, 20].map((field) => bytes.readUInt32LE(at + field));
    return { address: address ?? 0, size: Math.max(size ?? 0, stored ?? 0), offset: offset ?? 0 };
  });

  /** @param {number} address relative to the image @returns {number} offset in the file */
  const offsetOf = (address) => {
    const found = sections.find((each) => address >= each.address && address < each.address + each.size);
    if (!found) throw new Error(`${file} refers to ${address}, which is in none of its sections`);
    return address - found.address + found.offset;
  };
  /** @param {number} address */
  const textAt = (address) => {
    const at = offsetOf(address);
    return bytes.toString('latin1', at, bytes.indexOf(0, at));
  };
  /** @param {number} index @returns {number | undefined} offset of a directory */
  const directory = (index) => {
    const address = bytes.readUInt32LE(optional + 112 + index * 8);
    return address === 0 ? undefined : offsetOf(address);
  };

  const libraries = [];
  const imports = directory(IMPORTS);
  if (imports !== undefined)
    for (let at = imports; bytes.readUInt32LE(at + 12) !== 0; at += 20)
      libraries.push(textAt(bytes.readUInt32LE(at + 12)));
  const exported = [];
  const exports = directory(EXPORTS);
  if (exports !== undefined) {
    const names = offsetOf(bytes.readUInt32LE(exports + 32));
    for (let i = 0; i < bytes.readUInt32LE(exports + 24); i++)
      exported.push(textAt(bytes.readUInt32LE(names + i * 4)));
  }
  return { libraries, exported };
}
