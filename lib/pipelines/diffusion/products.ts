import { productsOf } from '../../binding/products.js';
import type { Products } from '../../binding/types.js';
import type { LoadedModel } from '../../families/shared/loaded-model.js';

/** Returns the number format of the products of the modules loaded so far; f32 if a GPU runs any of them. */
export function productsOfModel(loaded: LoadedModel): Products {
  const { precision, stockOps } = loaded.moduleSettings;
  const gpu = Object.values(loaded.memory()).find(({ backend }) => backend !== 'cpu');
  return productsOf(precision, gpu?.backend ?? 'cpu', stockOps);
}
