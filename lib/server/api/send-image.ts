/** Sends a result file of a job, or a thumbnail of it. */
import { createReadStream } from 'node:fs';
import type { FastifyReply } from 'fastify';
import { loadSharp } from '../../image/sharp.js';

/** Files of a job never change, and only clients that may read the job may cache them. */
const FOREVER = 'private, max-age=31536000, immutable';

/** @param side maximum side length of a WebP thumbnail in pixels; undefined sends the file itself */
export async function sendImage(
  reply: FastifyReply,
  file: { readonly path: string; readonly type: string },
  side: number | undefined,
): Promise<FastifyReply> {
  reply.header('cache-control', FOREVER);
  if (side === undefined || !file.type.startsWith('image/'))
    return reply.type(file.type).send(createReadStream(file.path));
  const sharp = await loadSharp();
  const thumbnail = sharp(file.path).resize({
    width: side,
    height: side,
    fit: 'inside',
    withoutEnlargement: true,
  });
  return reply.type('image/webp').send(await thumbnail.webp({ quality: 82 }).toBuffer());
}
