/** A picture of a job as an answer: the file itself, or a small form of it. */
import { createReadStream } from 'node:fs';
import type { FastifyReply } from 'fastify';
import sharp from 'sharp';

/** A job's files never change, and only who may see the job may see them. */
const FOREVER = 'private, max-age=31536000, immutable';

/** @param side pixels that the small form is no wider and no higher than; the file itself where it is left out */
export async function sendImage(
  reply: FastifyReply,
  file: { readonly path: string; readonly type: string },
  side: number | undefined,
): Promise<FastifyReply> {
  reply.header('cache-control', FOREVER);
  if (side === undefined || !file.type.startsWith('image/'))
    return reply.type(file.type).send(createReadStream(file.path));
  const small = sharp(file.path).resize({
    width: side,
    height: side,
    fit: 'inside',
    withoutEnlargement: true,
  });
  return reply.type('image/webp').send(await small.webp({ quality: 82 }).toBuffer());
}
