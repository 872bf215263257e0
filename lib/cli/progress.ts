/** Progress display on stderr: a bar with a time estimate on a terminal, plain lines otherwise. */
import { bytes, duration } from './output.js';

/** Progress of a pipeline, conversion or download; `load`, `convert` and `pull` count bytes. */
export interface Report {
  readonly phase:
    | 'load'
    | 'encode'
    | 'denoise'
    | 'codes'
    | 'decode'
    | 'upscale'
    | 'convert'
    | 'pull'
    | 'grid';
  readonly step: number;
  readonly steps: number;
  /** Bytes per second and remaining seconds, if known more precisely than from the average of the phase. */
  readonly rate?: number;
  readonly left?: number | undefined;
}

export interface ProgressDisplay {
  readonly show: (report: Report) => void;
  /** Removes the bar, so that the next output starts at the beginning of the line. */
  readonly clear: () => void;
}

const LABELS = {
  load: 'Loading',
  encode: 'Encoding',
  denoise: 'Denoising',
  codes: 'Sampling',
  decode: 'Decoding',
  upscale: 'Upscaling',
  convert: 'Converting',
  pull: 'Downloading',
  grid: 'Generating',
} as const;
/** Units of phases whose progress is not in bytes. */
const UNITS: Partial<Record<Report['phase'], string>> = {
  denoise: 'step',
  codes: 'index',
  upscale: 'tile',
  grid: 'cell',
};
const BAR_WIDTH = 30;
/** Minimum milliseconds between updates on a terminal and between lines in a log. */
const PAINT_EVERY = 50;
const LINE_EVERY = 2000;

export function createProgress(
  options: { readonly quiet: boolean },
  stream: NodeJS.WriteStream = process.stderr,
): ProgressDisplay {
  if (options.quiet) return { show: () => undefined, clear: () => undefined };
  return stream.isTTY && process.env.TERM !== 'dumb' ? bar(stream) : lines(stream);
}

function bar(stream: NodeJS.WriteStream): ProgressDisplay {
  const clock = new PhaseClock();
  let painted = Number.NEGATIVE_INFINITY;
  let visible = false;
  return {
    show: (report) => {
      const timing = clock.at(report);
      const now = performance.now();
      if (now - painted < PAINT_EVERY && report.step !== report.steps && !timing.isNew) return;
      painted = now;
      visible = true;
      stream.write(`\r${truncate(barLine(report, timing), stream.columns)}\x1b[K`);
    },
    clear: () => {
      if (visible) stream.write('\r\x1b[K');
      visible = false;
    },
  };
}

function barLine(report: Report, timing: Timing): string {
  const share = report.steps > 0 ? Math.min(1, report.step / report.steps) : 0;
  // Half cells: heavy line, half heavy line, light line.
  const halves = Math.round(share * BAR_WIDTH * 2);
  const full = Math.floor(halves / 2);
  const filled = `${'━'.repeat(full)}${halves % 2 ? '╸' : ''}`;
  return `${LABELS[report.phase].padEnd(11)} ${filled}${'─'.repeat(BAR_WIDTH - filled.length)}  ${counts(report)}${estimate(report, timing)}`;
}

function lines(stream: NodeJS.WriteStream): ProgressDisplay {
  const clock = new PhaseClock();
  let written = Number.NEGATIVE_INFINITY;
  let last = '';
  return {
    show: (report) => {
      const timing = clock.at(report);
      const now = performance.now();
      const isDone = report.step === report.steps && report.steps > 0;
      if (!timing.isNew && !isDone && now - written < LINE_EVERY) return;
      const state = `${report.phase} ${counts(report)}`;
      if (state === last) return;
      [last, written] = [state, now];
      stream.write(`${LABELS[report.phase]} ${counts(report)}${estimate(report, timing)}\n`);
    },
    clear: () => undefined,
  };
}

function counts({ phase, step, steps }: Report): string {
  if (phase === 'load' || phase === 'convert') return `${steps > 0 ? Math.floor((100 * step) / steps) : 0}%`;
  if (phase === 'pull') return `${bytes(step)} of ${bytes(steps)}`;
  return `${UNITS[phase] ? `${UNITS[phase]} ` : ''}${step}/${steps}`;
}

function estimate({ phase, step, steps, rate, left }: Report, { seconds, from }: Timing): string {
  if (step >= steps) return `, ${duration(seconds)}`;
  if (rate !== undefined)
    return rate > 0 ? `, ${bytes(rate)}/s${left === undefined ? '' : `, ${duration(left)} left`}` : '';
  // The first step includes the warm-up, so an estimate from it alone is rough.
  const done = step - from;
  if (done <= 0 || seconds === 0) return '';
  const perStep = seconds / done;
  const remaining = `${duration(perStep * (steps - step))} left`;
  return UNITS[phase] ? `, ${duration(perStep)}/${UNITS[phase]}, ${remaining}` : `, ${remaining}`;
}

interface Timing {
  /** Seconds since the phase started. */
  readonly seconds: number;
  /** Step at which the phase started. */
  readonly from: number;
  readonly isNew: boolean;
}

class PhaseClock {
  private phase: string | undefined;
  private start = 0;
  private from = 0;

  at({ phase, step }: Report): Timing {
    const now = performance.now();
    const isNew = phase !== this.phase || step < this.from;
    if (isNew) {
      this.phase = phase;
      this.from = Math.min(step, phase === 'load' || phase === 'convert' ? step : 0);
      this.start = now;
    }
    return { seconds: (now - this.start) / 1000, from: this.from, isNew };
  }
}

/** Truncates a line to the width of the terminal, because a wrapped line could not be overwritten. */
function truncate(line: string, columns: number | undefined): string {
  return columns !== undefined && line.length >= columns ? line.slice(0, Math.max(0, columns - 1)) : line;
}
