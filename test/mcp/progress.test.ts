import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { JobEvent, JobProgress } from '../../lib/jobs/types.js';
import { ProgressReporter } from '../../lib/mcp/progress.js';
import type { Progress } from '../../lib/mcp/tool.js';

let sent: Progress[];
let reporter: ProgressReporter;
beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  reporter = new ProgressReporter((progress) => sent.push(progress));
});
afterEach(() => {
  reporter.stop();
  vi.useRealTimers();
});
const queued = (place: number): JobEvent => ({ id: 1, type: 'queued', data: { place } });
const progress = (phase: JobProgress['phase'], step: number, steps: number, left?: number): JobEvent => ({
  ...{ id: 1, type: 'progress' },
  data: { phase, step, steps, elapsed: 1, ...(left === undefined ? {} : { left }) },
});

it('counts the steps of the work and describes the rest', () => {
  for (const event of [
    ...[queued(2), queued(1), queued(0), progress('load', 1, 9), progress('load', 2, 9)],
    ...[progress('encode', 1, 2), progress('denoise', 0, 4), progress('denoise', 1, 4)],
    ...[progress('denoise', 2, 4, 12.4), progress('denoise', 4, 4, 0), progress('decode', 1, 1)],
  ])
    reporter.onEvent(event);
  expect(sent.map(({ message }) => message)).toEqual([
    ...['Queued, 2 jobs ahead', 'Queued, 1 job ahead', 'Starting', 'Loading the model', 'Encoding'],
    ...['Denoising, step 0 of 4', 'Denoising, step 1 of 4', 'Denoising, step 2 of 4, about 12 s left'],
    ...['Denoising, step 4 of 4', 'Decoding'],
  ]);
  expect(sent.map((report) => Math.floor(report.progress))).toEqual([0, 0, 0, 0, 0, 0, 1, 2, 4, 4]);
  expect(sent.map(({ total }) => total)).toEqual([...Array(5).fill(undefined), ...Array(5).fill(5)]);
});

it('always increases and stays below the total, even after a retry and long waits', () => {
  reporter.onEvent(progress('denoise', 3, 4));
  reporter.onEvent(progress('denoise', 1, 4)); // retried on another worker
  vi.advanceTimersByTime(3_600_000);
  reporter.onEvent(progress('denoise', 4, 4));
  vi.advanceTimersByTime(3_600_000);
  const values = sent.map((report) => report.progress);
  expect(values.length).toBeGreaterThan(100);
  for (const [i, value] of values.entries()) if (i > 0) expect(value).toBeGreaterThan(values[i - 1]!);
  expect(values.at(-1)).toBeLessThanOrEqual(5);
});

it('repeats its last message every 10 seconds until it is stopped', () => {
  reporter.onEvent(queued(3));
  vi.advanceTimersByTime(25_000);
  expect(sent.map(({ message }) => message)).toEqual(Array(3).fill('Queued, 3 jobs ahead'));
  reporter.stop();
  vi.advanceTimersByTime(60_000);
  expect(sent).toHaveLength(3);
});
