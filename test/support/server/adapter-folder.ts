/** A models folder with LoRAs and embeddings for the starter model, with preview images beside them. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { tensorOf, writeWithMetadata } from '../lora.js';
import { noise, type RawTensor, writeSafetensors } from '../tiny-models.js';

/** Width of the starter's text states. */
export const WIDTH = 192;

export class AdapterFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'safelight-adapters-'));

  at(file: string): string {
    const path = join(this.path, file);
    mkdirSync(dirname(path), { recursive: true });
    return path;
  }

  /** Writes a LoRA of rank 2 that changes the starter's U-Net. @param width of its text states */
  lora(file: string, metadata: Readonly<Record<string, string>> = {}, width = WIDTH): string {
    const key = 'lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k';
    const random = (part: string, rows: number, columns: number): RawTensor =>
      tensorOf(
        noise(`${file}.${part}`, rows * columns).map((value) => value * 0.5),
        [rows, columns],
        'F32',
      );
    const tensors = new Map<string, RawTensor>([
      [`${key}.lora_down.weight`, random('down', 2, width)],
      [`${key}.lora_up.weight`, random('up', 256, 2)],
      [`${key}.alpha`, tensorOf(Float32Array.of(2), [], 'F32')],
    ]);
    const path = this.at(file);
    writeWithMetadata(path, tensors, metadata);
    return path;
  }

  /** Writes an embedding of two vectors. */
  embedding(file: string, width = WIDTH): string {
    const path = this.at(file);
    const data = noise(file, 2 * width);
    writeSafetensors(
      path,
      new Map([
        ['emb_params', { dtype: 'F32', shape: [2, width], data: new Uint8Array(data.slice().buffer) }],
      ]),
    );
    return path;
  }

  /** Writes an image in the format of the file's ending. */
  async image(file: string, background: string, [width, height] = [600, 400]): Promise<string> {
    const path = this.at(file);
    await sharp({ create: { width: width!, height: height!, channels: 3, background } }).toFile(path);
    return path;
  }

  json(file: string, content: unknown): void {
    writeFileSync(this.at(file), JSON.stringify(content));
  }

  text(file: string, content: string): void {
    writeFileSync(this.at(file), content);
  }
}
