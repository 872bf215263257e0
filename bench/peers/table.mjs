// @ts-check
/** The peers of bench/compare.mjs: their programs, number formats and the cells that they support. */
import { join } from 'node:path';

/** @typedef {'f32' | 'bf16' | 'int8'} Format */
/** @typedef {{ family: string, module: 'unet' | 'decoder' | 'text', side: number, batch: number }} Cell */
/**
 * `format` is the number format of the products. A peer that selects it itself returns it when a cell is loaded.
 * @typedef {{ program: 'safelight' | 'torch' | 'openvino' | 'sdcpp', format: Format, env?: NodeJS.ProcessEnv }} Peer
 */

/** @type {Record<string, Peer>} */
export const PEERS = {
  safelight: { program: 'safelight', format: 'f32' },
  'safelight-q8_0': { program: 'safelight', format: 'f32', env: { PEERS_STORAGE: 'q8_0' } },
  'safelight-bf16': { program: 'safelight', format: 'bf16', env: { PEERS_PRECISION: 'bf16' } },
  'safelight-int8': { program: 'safelight', format: 'int8', env: { PEERS_PRECISION: 'int8' } },
  torch: { program: 'torch', format: 'f32', env: { PEERS_FORMAT: 'f32' } },
  'torch-bf16': { program: 'torch', format: 'bf16', env: { PEERS_FORMAT: 'bf16' } },
  openvino: { program: 'openvino', format: 'f32', env: { PEERS_FORMAT: 'f32' } },
  'openvino-default': { program: 'openvino', format: 'bf16', env: { PEERS_FORMAT: 'default' } },
  'openvino-int8': { program: 'openvino', format: 'int8', env: { PEERS_FORMAT: 'int8' } },
  sdcpp: { program: 'sdcpp', format: 'f32' },
};

/** Returns a peer's command line. @param {Peer} peer @param {string} python @returns {string[]} */
export function commandOf({ program }, python) {
  const here = import.meta.dirname ?? '.';
  if (program === 'safelight') return [process.execPath, join(here, 'safelight_peer.mjs')];
  return [python, join(here, `${program}_peer.py`)];
}

/**
 * Returns the peers that are measured together, each group with the first peer as reference. The U-Nets of all peers do not fit
 * into 24 GB: for SD1, peers in f32 are one group and those in lower precision another; for SDXL, each peer is measured alone with
 * the reference. stable-diffusion.cpp supports only batch 1 here, cannot run a text encoder alone, and takes minutes above 256
 * pixels, so it is measured with U-Net and decoder at 256 pixels only.
 * @param {Cell} cell @param {readonly string[]} names
 * @returns {string[][]}
 */
export function groups(cell, names) {
  const [reference, ...others] = names.filter(
    (name) =>
      PEERS[name]?.program !== 'sdcpp' || (cell.module !== 'text' && cell.side === 32 && cell.batch === 1),
  );
  if (!reference) return [];
  if (others.length === 0 || cell.module !== 'unet') return [[reference, ...others]];
  if (cell.family !== 'sd1') return others.map((name) => [reference, name]);
  const exact = others.filter((name) => PEERS[name]?.format === 'f32');
  const low = others.filter((name) => PEERS[name]?.format !== 'f32');
  return [exact, low].filter((group) => group.length > 0).map((group) => [reference, ...group]);
}
