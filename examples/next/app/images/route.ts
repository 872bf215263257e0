// A route handler: GET /images?prompt=TEXT responds with a PNG.
import { Pipeline, SafelightError } from 'safelight';

// The native addon requires the Node.js runtime; the edge runtime cannot load it.
export const runtime = 'nodejs';
export const dynamic = 'force-dynamic';

// Stored on globalThis, so that hot reloading in `next dev` does not load the model again.
const shared = globalThis as typeof globalThis & { pipeline?: Promise<Pipeline> };

/** Returns the pipeline of all requests. The first request loads it; a load that failed is retried by the next request. */
function loadPipeline(): Promise<Pipeline> {
  shared.pipeline ??= Pipeline.load().catch((error: unknown) => {
    delete shared.pipeline;
    throw error;
  });
  return shared.pipeline;
}

export async function GET(request: Request): Promise<Response> {
  const prompt = new URL(request.url).searchParams.get('prompt');
  if (!prompt) return Response.json({ message: 'Expected a prompt: /images?prompt=TEXT' }, { status: 400 });
  try {
    const pipeline = await loadPipeline();
    // A client that disconnects cancels its generation.
    const { images } = await pipeline.generate({ prompt, signal: request.signal });
    const [image] = images;
    if (!image) throw new Error('A generation returns at least one image');
    return new Response(await image.png(), { headers: { 'content-type': 'image/png' } });
  } catch (error) {
    if (!(error instanceof SafelightError)) throw error;
    const status = error.code === 'INVALID_OPTION' ? 400 : 500;
    return Response.json({ code: error.code, message: error.message }, { status });
  }
}
