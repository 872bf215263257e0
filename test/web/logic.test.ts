/** Logic of the web page: prompt weights, mask painting, settings of the form. */
import { describe, expect, it } from 'vitest';
import type { About } from '../../web/src/api/types.js';
import { PaintLayer } from '../../web/src/logic/paint-layer.js';
import { Pointers } from '../../web/src/logic/pointers.js';
import { requestOf } from '../../web/src/logic/request.js';
import { fieldsOf, mergeFields, unrestoredOf } from '../../web/src/logic/restore.js';
import { defaults, reviveSettings } from '../../web/src/logic/settings.js';
import { changeWeight } from '../../web/src/logic/weights.js';

const about = {
  models: [
    { name: 'starter', kind: 'diffusion', loaded: false },
    {
      name: 'writer',
      kind: 'codes',
      loaded: false,
      codes: { condition: 'image', codebook: true, discriminator: false },
    },
  ],
  samplers: [
    { name: 'dpmpp_2m', label: 'DPM++ 2M', ownsSchedule: false },
    { name: 'euler_a', label: 'Euler a', ownsSchedule: false },
  ],
  schedules: [{ name: 'karras', label: 'Karras' }],
  hiresUpscalers: [{ name: 'latent_bicubic', label: 'Latent (bicubic)' }],
} as unknown as About;

/** `[words]` marks the selection, `[]` a caret. */
function weighed(marked: string, ...directions: (1 | -1)[]): string {
  const start = marked.indexOf('[');
  const end = marked.indexOf(']') - 1;
  let now = { text: marked.replace('[', '').replace(']', ''), start, end };
  for (const direction of directions) now = changeWeight(now, direction);
  return `${now.text.slice(0, now.start)}[${now.text.slice(now.start, now.end)}]${now.text.slice(now.end)}`;
}

describe('Ctrl+Up and Ctrl+Down', () => {
  it('weight the selected words', () => {
    expect(weighed('a [red] apple', 1)).toBe('a ([red]:1.1) apple');
    expect(weighed('a [red] apple', -1)).toBe('a ([red]:0.9) apple');
    expect(weighed('[a red] apple', 1)).toBe('([a red]:1.1) apple');
  });

  it('change an existing weight, and remove it at 1', () => {
    expect(weighed('a [red] apple', 1, 1, 1)).toBe('a ([red]:1.3) apple');
    expect(weighed('a ([red]:1.1) apple', -1)).toBe('a [red] apple');
    expect(weighed('a [red] apple', 1, 1, -1, -1)).toBe('a [red] apple');
  });

  it('select the word at the caret', () => {
    expect(weighed('a re[]d apple', 1)).toBe('a ([red]:1.1) apple');
    expect(weighed('a (very re[]d:1.2) apple', 1)).toBe('a ([very red]:1.3) apple');
  });

  it('ignore blanks and an empty selection', () => {
    expect(weighed('a[ red ]apple', 1)).toBe('a ([red]:1.1) apple');
    expect(weighed('a  [] apple', 1)).toBe('a  [] apple');
  });

  it('do not confuse an earlier group with the enclosing one', () => {
    expect(weighed('(red:1.2) [apple]', 1)).toBe('(red:1.2) ([apple]:1.1)');
    expect(weighed('\\(red\\) [apple]', 1)).toBe('\\(red\\) ([apple]:1.1)');
  });

  it('have no lower or upper limit', () => {
    expect(weighed('[red]', ...Array<-1>(14).fill(-1))).toBe('([red]:0)');
  });
});

describe('a sheet', () => {
  const rows = (layer: PaintLayer): string[] =>
    Array.from({ length: layer.height }, (_, y) =>
      Array.from(layer.data.subarray(y * layer.width, (y + 1) * layer.width), (v) =>
        v > 127 ? '#' : '.',
      ).join(''),
    );

  it('covers what the brush painted, and nothing else', () => {
    const layer = new PaintLayer(12, 5);
    layer.begin(2, 2.5, 1.5, false);
    layer.move(9, 2.5);
    layer.end();
    expect(rows(layer)).toEqual([
      '............',
      '.#########..',
      '###########.',
      '.#########..',
      '............',
    ]);
  });

  it('reports the changed area within its bounds', () => {
    const layer = new PaintLayer(20, 20);
    expect(layer.begin(0, 0, 3, false)).toEqual({ left: 0, top: 0, right: 4, bottom: 4 });
    const far = layer.move(100, 0);
    expect([far.right, far.top]).toEqual([20, 0]);
    layer.end();
  });

  it('is softer at its edge by one pixel', () => {
    const layer = new PaintLayer(9, 9);
    layer.begin(4.5, 4.5, 2, false);
    layer.end();
    const line = [...layer.data.subarray(4 * 9, 5 * 9)];
    expect(line).toEqual([0, 0, 128, 255, 255, 255, 128, 0, 0]);
  });

  it('can be erased, undone and redone', () => {
    const layer = new PaintLayer(16, 16);
    layer.begin(8, 8, 5, false);
    layer.end();
    const full = layer.data.slice();
    layer.begin(8, 8, 2, true);
    layer.end();
    expect(layer.data[8 * 16 + 8]).toBe(0);
    const holed = layer.data.slice();
    layer.undo();
    expect(layer.data).toEqual(full);
    layer.undo();
    expect(layer.empty && !layer.canUndo && layer.canRedo).toBe(true);
    layer.redo();
    layer.redo();
    expect(layer.data).toEqual(holed);
    layer.change((value) => 255 - value);
    expect(layer.canRedo).toBe(false);
    layer.undo();
    expect(layer.data).toEqual(holed);
  });

  it('discards a stroke when a second finger starts a pinch', () => {
    const layer = new PaintLayer(8, 8);
    layer.begin(4, 4, 2, false);
    layer.move(6, 6);
    layer.abandon();
    expect([layer.empty, layer.canUndo]).toEqual([true, false]);
  });

  it('restores a stored mask of the same size', () => {
    const kept = new Uint8Array(16).fill(7);
    expect(new PaintLayer(4, 4, kept).data).toBe(kept);
    expect(new PaintLayer(5, 4, kept).empty).toBe(true);
  });
});

it('two fingers zoom by their distance and pan by their center', () => {
  const pointers = new Pointers();
  pointers.add(1, { x: 0, y: 0 });
  expect(pointers.move(1, { x: 1, y: 0 })).toBeUndefined();
  pointers.add(2, { x: 3, y: 0 });
  const pinch = pointers.move(2, { x: 5, y: 0 });
  expect(pinch).toEqual({ factor: 2, middle: { x: 3, y: 0 }, moved: { x: 1, y: 0 } });
  pointers.remove(1);
  expect(pointers.move(2, { x: 0, y: 0 })).toBeUndefined();
});

describe('settings', () => {
  const text =
    'a red apple\nNegative prompt: blur\nSteps: 12, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 4.5, Seed: 7, Size: 128x96, ' +
    'Denoising strength: 0.4, Hires upscale: 1.5, Hires steps: 5, Hires upscaler: Latent (bicubic), RNG: NV, Version: x';

  it('are restored from the text of an image', () => {
    const patch = mergeFields(fieldsOf(text, about));
    expect(patch).toMatchObject({
      ...{ prompt: 'a red apple', negative: 'blur', steps: 12, sampler: 'dpmpp_2m', schedule: 'karras' },
      ...{ cfg: 4.5, seed: 7, width: 128, height: 96, rng: 'cuda' },
      ...{ hires: true, hiresScale: 1.5, hiresSteps: 5, hiresStrength: 0.4, hiresUpscaler: 'latent_bicubic' },
    });
    expect(patch.strength).toBeUndefined();
  });

  it('can be restored one by one', () => {
    const seed = fieldsOf(text, about).find(({ label }) => label === 'Seed');
    expect(seed?.patch).toEqual({ seed: 7 });
  });

  it('include the sampler and schedule that older files store in one name', () => {
    const fields = fieldsOf('x\nSteps: 1, Sampler: DPM++ 2M Karras, Seed: 1', about);
    expect(mergeFields(fields)).toMatchObject({ sampler: 'dpmpp_2m', schedule: 'karras' });
  });

  it('of A1111 have GPU noise and the schedule Automatic if neither is written', () => {
    const of = (line: string) => mergeFields(fieldsOf(`x\nSteps: 1, Seed: 1, ${line}`, about));
    expect(of('Sampler: Euler a')).toMatchObject({ sampler: 'euler_a', schedule: 'automatic', rng: 'cuda' });
    expect(of('Sampler: DPM++ 2M Karras')).toMatchObject({ schedule: 'karras', rng: 'cuda' });
    expect(of('Sampler: DPM++ 2M Karras, Schedule type: Automatic')).toMatchObject({ schedule: 'karras' });
    expect(of('Sampler: DPM++ 2M, Schedule type: Automatic, RNG: GPU')).toMatchObject({
      ...{ schedule: 'automatic', rng: 'cuda' },
    });
    expect(of('Sampler: Euler a, RNG: CPU').rng).toBe('cpu');
    const own = of('Sampler: Euler a, Version: Safelight 0.1.0');
    expect([own.schedule, own.rng]).toEqual([null, 'cpu']);
    expect(fieldsOf('words alone', about).map(({ label }) => label)).toEqual(['Prompt', 'Negative prompt']);
  });

  it('of A1111 are read from the line before those of extensions, and unsupported ones are listed', () => {
    const foreign =
      'a <lora:x:1> cat\nSteps: 3, Sampler: Nowhere, Seed: 4, Size: 64x64, Model: sd, VAE: mse, Eta: 0.5, Hires steps: 0, ' +
      'constructor: 3, Version: v1.9.4\nTemplate: a {cat|dog}';
    expect(mergeFields(fieldsOf(foreign, about))).toMatchObject({
      ...{ prompt: 'a <lora:x:1> cat', steps: 3, seed: 4, width: 64, hiresSteps: null, sampler: null },
    });
    expect(unrestoredOf(foreign, about, { loras: [] })).toEqual([
      ...['LoRA: x', 'Sampler: Nowhere', 'Model: sd', 'VAE: mse', 'Eta: 0.5', 'constructor: 3'],
    ]);
    expect(unrestoredOf(text, about)).toEqual([]);
    expect(unrestoredOf('words alone', about)).toEqual([]);
  });

  it('become a job, without fields that are left to the model', () => {
    const request = requestOf({ ...defaults, prompt: 'cat', steps: 5, count: 3 }, {}, about);
    expect(request).toEqual({
      type: 'text-to-image',
      model: 'starter',
      options: { prompt: 'cat', steps: 5, count: 3 },
    });
    const hires = requestOf({ ...defaults, prompt: 'cat', hires: true }, {}, about);
    expect(hires.options.hires).toEqual({ scale: 2, strength: 0.6, upscaler: 'latent' });
  });

  it('report what is missing', () => {
    expect(() => requestOf({ ...defaults, mode: 'picture' }, {}, about)).toThrow('image');
    expect(() => requestOf({ ...defaults, mode: 'inpaint' }, { init: 'data:' }, about)).toThrow('Paint');
    expect(() => requestOf({ ...defaults, mode: 'sketch' }, {}, about)).toThrow('Draw');
    const sketch = requestOf({ ...defaults, mode: 'sketch', temperature: 0.8 }, { drawing: 'data:x' }, about);
    expect(sketch).toEqual({
      type: 'sketch',
      model: 'writer',
      options: { image: 'data:x', temperature: 0.8 },
    });
  });

  it('survive a visit, and invalid values are dropped', () => {
    expect(reviveSettings({ prompt: 'x', mode: 'inpaint', steps: 3 })).toMatchObject({
      prompt: 'x',
      mode: 'inpaint',
      steps: 3,
    });
    expect(reviveSettings({ prompt: 7, mode: 'nowhere', evil: 1 })).toEqual(defaults);
    expect(reviveSettings('text')).toEqual(defaults);
  });
});
