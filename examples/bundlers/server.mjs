// @ts-check
// A server that can be bundled: GET /?prompt=TEXT responds with a PNG.
import { createServer } from 'node:http';
import { Pipeline, SafelightError } from 'safelight';

const pipeline = await Pipeline.load();

const server = createServer(async (request, response) => {
  const prompt = new URL(request.url ?? '/', 'http://localhost').searchParams.get('prompt') ?? 'a red apple';
  try {
    const { images } = await pipeline.generate({ prompt });
    for (const image of images) {
      response.writeHead(200, { 'content-type': 'image/png' }).end(await image.png());
    }
  } catch (error) {
    const known = error instanceof SafelightError;
    response.writeHead(known && error.code === 'INVALID_OPTION' ? 400 : 500).end(known ? error.message : '');
  }
});

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const address = server.address();
  if (address && typeof address === 'object') console.log(`http://127.0.0.1:${address.port}`);
});
process.once('SIGTERM', async () => {
  server.close();
  await pipeline.dispose();
});
