/** Options that change the computation of the network: quality, speed, seamless images. */
import { boolean, number, numbers } from '../field.js';

export const modelChangeFields = {
  /**
   * FreeU (Si et al. 2023, arXiv:2309.11497): `[b1, b2, s1, s2]`, the factors of the backbone (b) and of the skip
   * connections (s) in the coarsest (1) and the second coarsest (2) up block of the U-Net, 0 to 10 each. The authors
   * suggest `[1.5, 1.6, 0.9, 0.2]` for SD1, `[1.4, 1.6, 0.9, 0.2]` for SD2 and `[1.3, 1.4, 0.9, 0.2]` for SDXL. Default: off.
   */
  freeU: numbers(['b1', 'b2', 's1', 's2'], {
    description:
      'factors of FreeU: backbone and skips in the two coarsest up blocks, such as 1.5,1.6,0.9,0.2 for SD1',
    ...{ min: 0, max: 10 },
    flag: { name: 'freeu', argument: 'b1,b2,s1,s2' },
    infotext: { label: 'FreeU' },
  }),
  /**
   * Scale of perturbed-attention guidance (Ahn et al. 2024, arXiv:2403.17377), 0 to 100, typically 3: steers away from
   * predictions without self-attention in the mid block, which adds an evaluation per step. Works with and without `cfg`.
   * Default: off.
   */
  pag: number({
    description: 'scale of perturbed-attention guidance, typically 3; one more evaluation per step',
    ...{ min: 0, max: 100 },
    infotext: { label: 'PAG scale' },
  }),
  /**
   * Scale of self-attention guidance (Hong et al. 2023, arXiv:2210.00939), 0 to 100, typically 0.75: steers away from
   * predictions for an image that is blurred where the model attends, which adds an evaluation per step. Default: off.
   */
  sag: number({
    description: 'scale of self-attention guidance, typically 0.75; one more evaluation per step',
    ...{ min: 0, max: 100 },
    infotext: { label: 'SAG scale' },
  }),
  /**
   * Share of the pixels of the latent, 0 to 0.9, that are merged with similar ones in self-attention (token merging, Bolya
   * and Hoffman 2023, arXiv:2303.17604), which is faster for large images. More than 0.75 has the effect of 0.75. No effect
   * on SDXL, whose latents have no attention at their full size. CPU only. Default: off.
   */
  tokenMerging: number({
    description: 'share of the pixels merged in self-attention, 0 to 0.9; faster, less detail',
    ...{ min: 0, max: 0.9 },
    infotext: { label: 'Token merging ratio' },
  }),
  /** Wraps around the edges, so that the image can be repeated in both directions without seams; default false. */
  tiling: boolean({
    description: 'create an image that tiles without seams',
    default: false,
    infotext: { label: 'Tiling' },
  }),
};
