// @ts-check
// Generates an image through the AI SDK: node generate.mjs [PROMPT] [FILE]
import { writeFile } from 'node:fs/promises';
import { generateImage } from 'ai';
import { safelight } from 'safelight/ai';

const [prompt = 'a red apple', file = 'apple.png'] = process.argv.slice(2);

const { image } = await generateImage({
  model: safelight.image('starter'), // or a path, or a name from createSafelight({ models: { name: path } })
  prompt,
  seed: 7,
  providerOptions: { safelight: { steps: 20, cfg: 7 } }, // all options of Pipeline.generate
});
await writeFile(file, image.uint8Array);
console.log(file);

await safelight.dispose();
