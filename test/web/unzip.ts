/** Reads archives by the format's specification: the directory at the end, then each file. */
import { crc32 } from 'node:zlib';

/** @throws Error for an inconsistent archive or compressed files */
export function unzipped(archive: Buffer): { name: string; bytes: Buffer }[] {
  const end = archive.length - 22;
  if (archive.readUInt32LE(end) !== 0x06054b50) throw new Error('no end of the directory');
  const [count, size, start] = [
    archive.readUInt16LE(end + 10),
    archive.readUInt32LE(end + 12),
    archive.readUInt32LE(end + 16),
  ];
  if (start + size !== end) throw new Error('the directory is not where it should be');
  const files: { name: string; bytes: Buffer }[] = [];
  let at = start;
  for (let i = 0; i < count; i++) {
    if (archive.readUInt32LE(at) !== 0x02014b50) throw new Error('no entry of the directory');
    const length = archive.readUInt16LE(at + 28);
    const name = archive.toString('utf8', at + 46, at + 46 + length);
    files.push({
      name,
      bytes: fileAt(archive, archive.readUInt32LE(at + 42), name, archive.subarray(at + 16, at + 28)),
    });
    at += 46 + length;
  }
  if (at !== end) throw new Error('the directory has another size');
  return files;
}

/** @param facts checksum and both sizes from the directory */
function fileAt(archive: Buffer, at: number, name: string, facts: Buffer): Buffer {
  if (archive.readUInt32LE(at) !== 0x04034b50) throw new Error('no file where the directory says');
  if (!archive.subarray(at + 14, at + 26).equals(facts)) throw new Error('file and directory differ');
  if (archive.readUInt16LE(at + 8) !== 0) throw new Error('compressed');
  const length = archive.readUInt16LE(at + 26);
  if (archive.toString('utf8', at + 30, at + 30 + length) !== name) throw new Error('names differ');
  const bytes = archive.subarray(at + 30 + length, at + 30 + length + archive.readUInt32LE(at + 18));
  if (crc32(bytes) !== archive.readUInt32LE(at + 14)) throw new Error('wrong checksum');
  return Buffer.from(bytes);
}
