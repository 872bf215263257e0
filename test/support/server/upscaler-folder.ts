/** A models folder with tiny upscaler models. */
import { copyFileSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { writeNetwork } from '../upscale/networks.js';

export class UpscalerModels {
  readonly path = mkdtempSync(join(tmpdir(), 'safelight-upscalers-'));
  private readonly networks = mkdtempSync(join(tmpdir(), 'safelight-networks-'));

  /** Writes a network of test/fixtures/upscale. @param file path below the models folder */
  put(file: string, network = 'compact'): string {
    const path = this.at(file);
    copyFileSync(writeNetwork(this.networks, network), path);
    return path;
  }

  text(file: string, content: string): void {
    writeFileSync(this.at(file), content);
  }

  get folders(): readonly string[] {
    return [this.path, this.networks];
  }

  private at(file: string): string {
    const path = join(this.path, file);
    mkdirSync(dirname(path), { recursive: true });
    return path;
  }
}
