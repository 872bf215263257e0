// @ts-check
// Generates an image from a CommonJS script: node generate.cjs [PROMPT] [FILE]
const { Pipeline } = require('safelight');

async function main() {
  const [prompt = 'a red apple', file = 'apple.png'] = process.argv.slice(2);
  const pipeline = await Pipeline.load();
  try {
    const { images } = await pipeline.generate({ prompt, seed: 7, steps: 20 });
    for (const image of images) console.log(await image.save(file));
  } finally {
    await pipeline.dispose();
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
