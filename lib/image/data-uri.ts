/**
 * Parses `data:` URIs (RFC 2397) by the URL standard: any case, any media type and parameters, base64 or
 * percent-encoded.
 */
import { SafelightError } from '../errors.js';

/**
 * Returns the bytes of a data URI. Its media type is ignored; the content determines the image format.
 * @throws INVALID_IMAGE
 */
export function parseDataUri(uri: string): Uint8Array {
  const comma = uri.indexOf(',');
  if (comma < 0) throw unreadable('it has no comma before its data');
  const isBase64 = /;\s*base64\s*$/i.test(uri.slice(0, comma));
  const body = uri.slice(comma + 1);
  if (!isBase64) return percentDecoded(body);
  const text = body.includes('%') ? Buffer.from(percentDecoded(body)).toString('latin1') : body;
  return fromBase64(text);
}

/** Decodes base64 or base64url; white space is ignored, padding is optional. */
function fromBase64(text: string): Uint8Array {
  const packed = text.replace(/[\t\n\f\r ]+/g, '');
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(packed) || packed.replace(/=+$/, '').length % 4 === 1)
    throw unreadable('its data is not base64');
  return Buffer.from(packed, 'base64');
}

/** Decodes percent-encoded text; a percent sign without two digits after it is kept. */
function percentDecoded(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'utf8');
  let length = 0;
  for (let i = 0; i < bytes.length; i++, length++) {
    const code = bytes[i] === 0x25 ? hexByte(bytes[i + 1], bytes[i + 2]) : undefined;
    bytes[length] = code ?? bytes[i]!;
    if (code !== undefined) i += 2;
  }
  return bytes.subarray(0, length);
}

function hexByte(high: number | undefined, low: number | undefined): number | undefined {
  const text = String.fromCharCode(high ?? 0, low ?? 0);
  return /^[0-9A-Fa-f]{2}$/.test(text) ? Number.parseInt(text, 16) : undefined;
}

function unreadable(why: string): SafelightError {
  return new SafelightError('INVALID_IMAGE', `Cannot read the image's data URI: ${why}`);
}
