/** Reads the comment of EXIF metadata, in which A1111 stores parameters of JPEG and WebP images. */

const EXIF_IFD = 0x8769;
const USER_COMMENT = 0x9286;

/**
 * Returns the UserComment of an EXIF block (with or without the "Exif" prefix); undefined if there is none or the block
 * is malformed. The first 8 bytes of the comment name its encoding.
 */
export function userComment(block: Uint8Array): string | undefined {
  const start = Buffer.from(block.subarray(0, 4)).toString('latin1') === 'Exif' ? 6 : 0;
  const tiff = Buffer.from(block.buffer, block.byteOffset + start, block.byteLength - start);
  try {
    const little = tiff.toString('latin1', 0, 2) === 'II';
    const u16 = (at: number): number => (little ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at));
    const u32 = (at: number): number => (little ? tiff.readUInt32LE(at) : tiff.readUInt32BE(at));
    /** Returns the offset of a tag's value and its count. */
    const find = (folder: number, tag: number): { at: number; count: number } | undefined => {
      for (let i = 0; i < u16(folder); i++) {
        const entry = folder + 2 + 12 * i;
        if (u16(entry) === tag) return { at: entry + 8, count: u32(entry + 4) };
      }
      return undefined;
    };
    const exif = find(u32(4), EXIF_IFD);
    const comment = exif && find(u32(exif.at), USER_COMMENT);
    if (!comment || comment.count < 8) return undefined;
    const at = u32(comment.at);
    return decode(tiff.subarray(at, at + comment.count), little);
  } catch {
    return undefined; // an offset beyond the end
  }
}

function decode(value: Buffer, little: boolean): string {
  const encoding = value.toString('latin1', 0, 8).replaceAll('\0', '');
  const text = value.subarray(8);
  if (encoding !== 'UNICODE') return text.toString('utf8').replaceAll('\0', '');
  // A1111's writer (piexif) uses big-endian for any byte order of the block; other writers use the block's.
  const even = text.length - (text.length % 2);
  const highs = [0, 1].map((parity) => text.filter((byte, i) => i % 2 === parity && byte === 0).length);
  const highFirst = highs[0] === highs[1] ? !little : highs[0]! > highs[1]!;
  const units = Buffer.from(text.subarray(0, even));
  return (highFirst ? units.swap16() : units).toString('utf16le').replaceAll('\0', '');
}
