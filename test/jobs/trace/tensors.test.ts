import { describe, expect, it } from 'vitest';
import { parseTensor, TensorRecord } from '../../../lib/jobs/trace/tensors.js';
import { wordsOf } from '../../../lib/jobs/trace/words.js';
import { Tensor } from '../../../lib/tensor/tensor.js';

describe('parseTensor', () => {
  it.each([
    ['decoder:conv_in', { module: 'decoder', name: 'conv_in' }],
    ['text_encoder_2:final_layer_norm', { module: 'text_encoder_2', name: 'final_layer_norm' }],
    ['mid_block', { module: 'unet', name: 'mid_block' }],
    ['other:mid_block', { module: 'unet', name: 'other:mid_block' }],
    [':mid_block', { module: 'unet', name: ':mid_block' }],
  ])('reads %s', (text, expected) => {
    expect(parseTensor(text)).toEqual(expected);
  });
});

describe('the record of a tensor', () => {
  it('contains the statistics of every step and the histogram of the last value', () => {
    const record = new TensorRecord('mid_block');
    record.add(0, Tensor.from(Float32Array.of(0, 2), [1, 1, 1, 2]));
    record.add(3, Tensor.from(Float32Array.of(1, 3), [1, 1, 1, 2]));
    const { name, shape, steps, histogram } = record.snapshot();
    expect({ name, shape }).toEqual({ name: 'mid_block', shape: [1, 1, 1, 2] });
    expect(steps).toMatchObject([
      { step: 0, mean: 1 },
      { step: 3, mean: 2 },
    ]);
    expect(histogram.counts.reduce((sum, count) => sum + count, 0)).toBe(2);
    expect(histogram.edges).toHaveLength(histogram.counts.length + 1);
  });

  it('is empty if the tensor was never computed', () => {
    const record = new TensorRecord('mid_block');
    expect(record.snapshot()).toMatchObject({ shape: [], steps: [], histogram: { counts: [], edges: [] } });
    expect(record.heatMap()).toBeUndefined();
  });

  it('shows the first 16 channels of the last value as a heat map', () => {
    const record = new TensorRecord('mid_block');
    record.add(0, Tensor.zeros([1, 20, 3, 5]));
    const image = record.heatMap()!;
    expect(image.data).toHaveLength(3 * image.width * image.height);
    const alone = new TensorRecord('mid_block');
    alone.add(0, Tensor.zeros([1, 16, 3, 5]));
    expect(image).toEqual(alone.heatMap());
  });

  it('shows a vector as one row, and no heat map of a tensor above 262,144 values per channel', () => {
    const vector = new TensorRecord('pooled');
    vector.add(0, Tensor.zeros([7]));
    expect(vector.heatMap()).toBeDefined();
    const large = new TensorRecord('attention');
    large.add(0, Tensor.zeros([1, 1, 513, 512]));
    expect(large.heatMap()).toBeUndefined();
  });
});

describe('wordsOf', () => {
  it('lists each word of a prompt once, without punctuation and weights', () => {
    expect(wordsOf("a (red:1.3) apple, a child's hand")).toEqual(['a', 'red', 'apple', "child's", 'hand']);
    expect(wordsOf('a BREAK b')).toEqual(['a', 'b']);
    expect(wordsOf('...')).toEqual([]);
  });

  it('lists at most 40 words', () => {
    expect(wordsOf(Array.from({ length: 50 }, (_, i) => `w${i}`).join(' '))).toHaveLength(40);
  });
});
