// @ts-check
// Generates an image from a prompt: node generate.mjs [PROMPT] [FILE]
import { Pipeline, SafelightError } from 'safelight';

const [prompt = 'a red apple', file = 'apple.png'] = process.argv.slice(2);

// Loads the starter model. Pipeline.load('sd15.safetensors') loads a model file.
const pipeline = await Pipeline.load();
try {
  const { images } = await pipeline.generate({
    prompt,
    seed: 7,
    steps: 20,
    signal: AbortSignal.timeout(60_000),
    onProgress: ({ phase, step, steps }) => console.error(`${phase} ${step}/${steps}`),
  });
  // save() never overwrites a file by default: if apple.png exists, it writes apple-2.png and returns that path.
  for (const image of images) console.log(await image.save(file));
} catch (error) {
  if (!(error instanceof SafelightError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
} finally {
  await pipeline.dispose();
}
