/** VQGAN and its transformers: images as code indices of a codebook, sampled one after the other. Esser et al. 2021, arXiv:2012.09841. */
import type { AutoregressiveFamily } from './family.js';

export const vqgan: AutoregressiveFamily = { kind: 'autoregressive', name: 'vqgan', label: 'VQGAN' };
