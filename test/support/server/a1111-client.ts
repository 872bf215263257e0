/** A client of A1111's API with the paths, fields and defaults of sdwebuiapi. */
import { call } from './test-server.js';

export interface Generated {
  readonly images: readonly string[];
  readonly parameters: Record<string, unknown>;
  readonly info: string;
}

/** Fields that sdwebuiapi sends with every request, at values without effect. */
const INERT = {
  ...{ styles: [], subseed: -1, subseed_strength: 0, seed_resize_from_h: 0, seed_resize_from_w: 0 },
  ...{ batch_size: 1, n_iter: 1, restore_faces: false, tiling: false, do_not_save_samples: false },
  ...{ do_not_save_grid: false, negative_prompt: '', eta: 1, s_churn: 0, s_tmax: 0, s_tmin: 0, s_noise: 1 },
  ...{ script_args: [], script_name: null, send_images: true, save_images: false, alwayson_scripts: {} },
  ...{ override_settings: {}, override_settings_restore_afterwards: true, scheduler: 'automatic' },
  ...{ refiner_checkpoint: '', refiner_switch_at: 0, use_async: false, comments: {} },
};

/** Small and quick. */
const SMALL = { prompt: 'a red apple', seed: 1, steps: 2, width: 64, height: 64, sampler_name: 'Euler a' };

export class WebUIApi {
  constructor(
    private readonly url: string,
    private readonly headers: Record<string, string> = {},
  ) {}

  get<T = Record<string, unknown>>(path: string) {
    return call<T>(`${this.url}/sdapi/v1/${path}`, { headers: this.headers });
  }

  post<T = Record<string, unknown>>(path: string, json: unknown = {}, signal?: AbortSignal) {
    const more = signal ? { signal } : {};
    return call<T>(`${this.url}/sdapi/v1/${path}`, { method: 'POST', json, headers: this.headers, ...more });
  }

  async txt2img(fields: object = {}, signal?: AbortSignal): Promise<Generated> {
    const hires = { enable_hr: false, hr_scale: 2, hr_upscaler: 'Latent', hr_second_pass_steps: 0 };
    const more = { hr_resize_x: 0, hr_resize_y: 0, firstphase_width: 0, firstphase_height: 0 };
    return this.made('txt2img', { ...INERT, ...hires, ...more, ...SMALL, ...fields }, signal);
  }

  async img2img(init: string, fields: object = {}): Promise<Generated> {
    const more = { resize_mode: 0, denoising_strength: 0.75, image_cfg_scale: 1.5, inpainting_fill: 0 };
    const rest = {
      mask_blur: 4,
      inpaint_full_res: true,
      inpainting_mask_invert: 0,
      include_init_images: false,
    };
    return this.made('img2img', { ...INERT, ...more, ...rest, ...SMALL, init_images: [init], ...fields });
  }

  private async made(path: string, fields: object, signal?: AbortSignal): Promise<Generated> {
    const { status, body } = await this.post<Generated & { detail?: string }>(path, fields, signal);
    if (status !== 200) throw new Error(`${status} ${body.detail}`);
    return body;
  }
}
