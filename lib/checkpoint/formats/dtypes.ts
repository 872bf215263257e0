import type { SourceType } from '../../binding/types.js';
import { isBlockType } from '../weights/storage.js';

/** Bits per element of every dtype that safetensors defines. */
const BITS: ReadonlyMap<string, number> = new Map([
  ['F4', 4],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ['BOOL', 8],
  ['U8', 8],
  ['I8', 8],
  ['F8_E5M2', 8],
  ['F8_E4M3', 8],
  ['F8_E8M0', 8],
  ['F8_E4M3FNUZ', 8],
  ['F8_E5M2FNUZ', 8],
  ['I16', 16],
  ['U16', 16],
  ['F16', 16],
  ['BF16', 16],
  ['I32', 32],
  ['U32', 32],
  ['F32', 32],
  ['I64', 64],
  ['U64', 64],
  ['F64', 64],
  ['C64', 64],
]);

const READABLE: ReadonlySet<string> = new Set<SourceType>([
  'F64',
  'F32',
  'F16',
  'BF16',
  'F8_E4M3',
  'F8_E5M2',
  'I4',
  'F4_E2M1',
]);

/** Returns the bits per element, or undefined for a dtype that safetensors does not define. */
export function dtypeBits(dtype: string): number | undefined {
  return BITS.get(dtype);
}

/** Returns true if weights of this dtype can be loaded; others are only listed. I8 requires scales. */
export function isSourceType(dtype: string, scaled = false): dtype is SourceType {
  return READABLE.has(dtype) || isBlockType(dtype) || (scaled && dtype === 'I8');
}
