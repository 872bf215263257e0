/** The files that the samples of the documentation name: small images, models of the package, LoRAs with random weights. */
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { readSafetensors } from '../../../lib/checkpoint/formats/safetensors.js';
import { Tensor } from '../../../lib/tensor/tensor.js';
import { root } from '../../package/npm.js';
import { caseNamed, writeModel } from '../latent-diffusion.js';
import { tensorOf, writeWithMetadata } from '../lora.js';
import { writeSafetensors } from '../tiny-models.js';
import { weightsOf } from '../upscale/networks.js';
import { writeTransformerCheckpoint } from '../vqgan/checkpoint.js';

/** Models of the documentation by the names that it gives them. The contents of a model decide how it is read, not its name. */
const starters = ['sd15.safetensors', 'v1-5.safetensors', 'sd1.safetensors', 'models/v1-5.safetensors'];
const sketches = ['last.ckpt', 'vq-f8.ckpt'];
/** Tiny random models of latent diffusion by folder. */
const tiny = {
  'cin256-v2': 'class',
  ffhq256: 'faces',
  'txt2img-f8-large': 'text',
  inpainting_big: 'inpaint',
  'ldm-super-resolution-4x': 'super-resolution',
};

/** Side of the starter's latent in pixels, and its channels. */
const [LATENT, CHANNELS] = [16, 4];

/** Writes the files into `folder`, where the samples of one page run. */
export async function writeSampleFiles(folder: string): Promise<void> {
  const file = (name: string): string => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    return join(folder, name);
  };
  copyFileSync(join(root, 'docs/images/red-apple.png'), file('apple.png'));
  const photo = sharp(join(root, 'docs/images/red-apple.png')).resize(96, 96);
  await photo.clone().jpeg().toFile(file('photo.jpg'));
  await photo.clone().png().toFile(file('photo.png'));
  await photo.clone().resize(16, 16).png().toFile(file('small.png'));
  await svg(128, '#000', '<rect x="32" y="32" width="64" height="64" fill="#fff"/>').toFile(file('mask.png'));
  const outline = '<circle cx="48" cy="52" r="28" fill="none" stroke="#000" stroke-width="4"/>';
  await svg(96, '#fff', outline).toFile(file('drawing.png'));

  for (const name of starters) symlinkSync(join(root, 'models/starter'), file(name));
  for (const name of sketches) symlinkSync(join(root, 'models/sketch/model.safetensors'), file(name));
  copyFileSync(join(root, 'models/sketch/config.yaml'), file('model.yaml'));
  for (const [name, model] of Object.entries(tiny)) {
    const path = writeModel(caseNamed(model), file(name));
    if (path.endsWith('.safetensors'))
      for (const link of ['model.ckpt', 'last.ckpt'])
        symlinkSync('model.safetensors', join(folder, name, link));
  }
  writeTransformerCheckpoint(file('cin_transformer/cin_transformer.ckpt'), 320, {
    cond_stage_config: { target: 'taming.modules.util.Labelator', params: { n_classes: 20 } },
  });

  const noise = Float32Array.from({ length: CHANNELS * LATENT ** 2 }, (_, i) => Math.sin(i * i));
  writeFileSync(file('noise.npy'), Tensor.from(noise, [1, CHANNELS, LATENT, LATENT]).toNpy());
  for (const name of ['ink.safetensors', 'detail.safetensors', 'loras/ink.safetensors'])
    await writeLora(file(name));
  const vectors = new Map([['emb_params', tensorOf(noise.slice(0, 192), [1, 192], 'F32')]]);
  writeWithMetadata(file('embeddings/zyx.safetensors'), vectors, {});
  writeSafetensors(file('4x.safetensors'), weightsOf('compact'));
  writeFileSync(file('wildcards/fruit.txt'), 'apple\npear\n');
  writeFileSync(file('styles.csv'), 'name,prompt,negative_prompt\nink,"{prompt}, ink",\n');
}

function svg(side: number, background: string, content: string) {
  const box = `<svg xmlns="http://www.w3.org/2000/svg" width="${side}" height="${side}">`;
  return sharp(Buffer.from(`${box}<rect width="100%" height="100%" fill="${background}"/>${content}</svg>`));
}

/** A LoRA of rank 2 that changes one product of the starter's U-Net. */
async function writeLora(path: string): Promise<void> {
  const target = 'mid_block.attentions.0.transformer_blocks.0.attn1.to_q';
  const unet = join(root, 'models/starter/unet/diffusion_pytorch_model.safetensors');
  const [rows = 0, columns = 0] = (await readSafetensors(unet)).tensors.get(`${target}.weight`)!.shape;
  const values = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i) / 10);
  const key = `lora_unet_${target.replaceAll('.', '_')}`;
  writeWithMetadata(
    path,
    new Map([
      [`${key}.lora_down.weight`, tensorOf(values(2 * columns), [2, columns], 'F32')],
      [`${key}.lora_up.weight`, tensorOf(values(rows * 2), [rows, 2], 'F32')],
    ]),
    {},
  );
}
