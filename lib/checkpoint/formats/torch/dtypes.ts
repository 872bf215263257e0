import { dtypeBits } from '../dtypes.js';

/** safetensors' dtype names by PyTorch's. */
const DTYPES: ReadonlyMap<string, string> = new Map([
  ['float64', 'F64'],
  ['float32', 'F32'],
  ['float16', 'F16'],
  ['bfloat16', 'BF16'],
  ['float8_e4m3fn', 'F8_E4M3'],
  ['float8_e5m2', 'F8_E5M2'],
  ['float8_e4m3fnuz', 'F8_E4M3FNUZ'],
  ['float8_e5m2fnuz', 'F8_E5M2FNUZ'],
  ['float8_e8m0fnu', 'F8_E8M0'],
  ['int64', 'I64'],
  ['int32', 'I32'],
  ['int16', 'I16'],
  ['int8', 'I8'],
  ['uint64', 'U64'],
  ['uint32', 'U32'],
  ['uint16', 'U16'],
  ['uint8', 'U8'],
  ['bool', 'BOOL'],
  ['complex64', 'C64'],
  ['complex128', 'C128'],
]);

/** safetensors' dtype names by storage classes of `torch`. */
const STORAGES: ReadonlyMap<string, string> = new Map([
  ['DoubleStorage', 'F64'],
  ['FloatStorage', 'F32'],
  ['HalfStorage', 'F16'],
  ['BFloat16Storage', 'BF16'],
  ['LongStorage', 'I64'],
  ['IntStorage', 'I32'],
  ['ShortStorage', 'I16'],
  ['CharStorage', 'I8'],
  ['ByteStorage', 'U8'],
  ['BoolStorage', 'BOOL'],
  ['ComplexFloatStorage', 'C64'],
  ['ComplexDoubleStorage', 'C128'],
]);

export function dtypeOfTorch(name: string): string | undefined {
  return DTYPES.get(name);
}

export function dtypeOfStorage(name: string): string | undefined {
  return STORAGES.get(name);
}

/** Returns the bytes per element. */
export function elementSize(dtype: string): number {
  // C128 is the only dtype that safetensors does not define.
  return dtype === 'C128' ? 16 : (dtypeBits(dtype) ?? 8) / 8;
}
