/**
 * Tensor names of RRDBNet: Real-ESRGAN's (canonical), BSRGAN's (`RRDB_trunk.0.RDB1.conv1`) and those of the original
 * ESRGAN and ESRGAN+ (`model.1.sub.0.RDB1.conv1.0`), which number the layers of nested sequences.
 */
import { NameTable } from './naming.js';

/** Translates names without their prefix in both directions; null for a name that is not a parameter. */
export interface Translation {
  canonical(source: string): string | null;
  source(canonical: string): string;
}

const DENSE = /^body\.(\d+)\.rdb([123])\.(conv[1-5]|conv1x1)\.(weight|bias)$/;

const BSRGAN = new NameTable()
  .add('conv_first', 'conv_first')
  .add('trunk_conv', 'conv_body')
  .add('upconv1', 'conv_up1')
  .add('upconv2', 'conv_up2')
  .add('upconv3', 'conv_up3')
  .add('upconv4', 'conv_up4')
  .add('HRconv', 'conv_hr')
  .add('conv_last', 'conv_last');
const BSRGAN_DENSE = /^RRDB_trunk\.(\d+)\.RDB([123])\.(conv[1-5])\.(weight|bias)$/;

export const bsrganNames: Translation = {
  canonical(source) {
    const [, block, dense, conv, leaf] = BSRGAN_DENSE.exec(source) ?? [];
    return block === undefined ? BSRGAN.canonical(source) : `body.${block}.rdb${dense}.${conv}.${leaf}`;
  },
  source(canonical) {
    const [, block, dense, conv, leaf] = DENSE.exec(canonical) ?? [];
    return block === undefined
      ? (BSRGAN.source(canonical) ?? canonical)
      : `RRDB_trunk.${block}.RDB${dense}.${conv}.${leaf}`;
  },
};

const OLD_DENSE = /^model\.1\.sub\.(\d+)\.RDB([123])\.(conv[1-5]|conv1x1)(?:\.0)?\.(weight|bias)$/;

/**
 * Returns the translation of the original names. The layers after the blocks are an upsampling, a convolution and an
 * activation for each doubling, a convolution, an activation and the last convolution.
 */
export function oldEsrganNames(names: Iterable<string>): Translation {
  let last = 0;
  let blocks = 0;
  for (const name of names) {
    const [, layer] = /^model\.(\d{1,4})\.(?:weight|bias)$/.exec(name) ?? [];
    const [, block] = /^model\.1\.sub\.(\d{1,4})\.(?:weight|bias)$/.exec(name) ?? [];
    if (layer !== undefined) last = Math.max(last, Number(layer));
    if (block !== undefined) blocks = Math.max(blocks, Number(block));
  }
  const table = new NameTable().add('model.0', 'conv_first').add(`model.1.sub.${blocks}`, 'conv_body');
  for (let layer = 3; layer < last - 2; layer += 3) table.add(`model.${layer}`, `conv_up${layer / 3}`);
  table.add(`model.${last - 2}`, 'conv_hr').add(`model.${last}`, 'conv_last');
  return {
    canonical(source) {
      const [, block, dense, conv, leaf] = OLD_DENSE.exec(source) ?? [];
      if (block !== undefined) return `body.${block}.rdb${dense}.${conv}.${leaf}`;
      return /\.sub\.\d+\.RDB/.test(source) ? null : table.canonical(source);
    },
    source(canonical) {
      const [, block, dense, conv, leaf] = DENSE.exec(canonical) ?? [];
      if (block === undefined) return table.source(canonical) ?? canonical;
      return `model.1.sub.${block}.RDB${dense}.${conv}${conv === 'conv1x1' ? '' : '.0'}.${leaf}`;
    },
  };
}
