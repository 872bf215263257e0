// @ts-check
// Draws an image from a prompt: node generate.mjs [PROMPT] [FILE]
import { Pipeline, SafelightError } from 'safelight';

const [prompt = 'a red apple', file = 'apple.png'] = process.argv.slice(2);

// The starter model. Pipeline.load('sd15.safetensors') loads a model of your own.
const pipeline = await Pipeline.load();
try {
  const { images } = await pipeline.generate({
    prompt,
    seed: 7,
    steps: 20,
    signal: AbortSignal.timeout(60_000),
    onProgress: ({ phase, step, steps }) => console.error(`${phase} ${step}/${steps}`),
  });
  // Never overwrites a file: the path that was written may be apple-2.png.
  for (const image of images) console.log(await image.save(file));
} catch (error) {
  if (!(error instanceof SafelightError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
} finally {
  await pipeline.dispose();
}
