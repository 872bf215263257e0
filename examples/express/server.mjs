// @ts-check
// An Express server that sends the progress of a generation, then the image, as server-sent events: node server.mjs, then
//   curl -N 'http://127.0.0.1:3000/images?prompt=a%20red%20apple'
// In a browser, new EventSource('/images?prompt=a red apple') receives the events progress, image and failure; its close()
// cancels the generation. Close it after image and failure as well, because an EventSource reconnects.
import express from 'express';
import { Pipeline, SafelightError } from 'safelight';

const pipeline = await Pipeline.load();
const app = express();

app.get('/images', async (request, response) => {
  const { prompt } = request.query;
  if (typeof prompt !== 'string' || prompt === '') {
    response.status(400).json({ code: 'INVALID_OPTION', message: 'Expected a prompt: /images?prompt=TEXT' });
    return;
  }

  // A client that disconnects cancels its generation.
  const controller = new AbortController();
  response.on('close', () => controller.abort());
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const send = (/** @type {string} */ event, /** @type {object} */ data) =>
    response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);

  try {
    const { images } = await pipeline.generate({
      prompt,
      signal: controller.signal,
      onProgress: ({ phase, step, steps }) => send('progress', { phase, step, steps }),
    });
    for (const image of images) {
      const png = Buffer.from(await image.png()).toString('base64');
      send('image', { seed: image.seed, url: `data:image/png;base64,${png}` });
    }
  } catch (error) {
    if (controller.signal.aborted) console.log(`cancelled: ${prompt}`);
    else if (error instanceof SafelightError) send('failure', { code: error.code, message: error.message });
    else {
      console.error(error);
      send('failure', { code: 'INTERNAL', message: 'The image could not be generated' });
    }
  } finally {
    response.end();
  }
});

const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const address = server.address();
  if (address && typeof address === 'object') console.log(`http://127.0.0.1:${address.port}`);
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    server.close();
    server.closeAllConnections();
    await pipeline.dispose();
  });
}
