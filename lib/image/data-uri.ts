/** `data:` URIs (RFC 2397), as the URL standard reads them: any case, any media type and parameters, base64 or percent-encoded. */
import { SafelightError } from '../errors.js';

/** The bytes of a data URI; what they are is found out by looking at them, whatever its media type says. @throws INVALID_IMAGE */
export function parseDataUri(uri: string): Uint8Array {
  const comma = uri.indexOf(',');
  if (comma < 0) throw unreadable('it has no comma before its data');
  const isBase64 = /;\s*base64\s*$/i.test(uri.slice(0, comma));
  const body = uri.slice(comma + 1);
  if (!isBase64) return percentDecoded(body);
  const text = body.includes('%') ? Buffer.from(percentDecoded(body)).toString('latin1') : body;
  return fromBase64(text);
}

/** White space is left out, padding may lack; the alphabet is that of base64 or of base64url. */
function fromBase64(text: string): Uint8Array {
  const packed = text.replace(/[\t\n\f\r ]+/g, '');
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(packed) || packed.replace(/=+$/, '').length % 4 === 1)
    throw unreadable('its data is no base64');
  return Buffer.from(packed, 'base64');
}

/** `%41` is the byte 41; a percent sign that nothing follows stands for itself. */
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
