/** Code indices and discriminator scores of an image under a VQGAN model. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { ApiJob } from '../../api/types.js';
import { digits } from '../../logic/format.js';
import { codeColour, heat } from '../../logic/heat.js';
import { fileOf, type ScoreResult } from '../../state/trace.js';

interface ViewProps {
  readonly data: ScoreResult;
  readonly job: ApiJob;
}

type Grid = readonly (readonly number[])[];

export function CodeIndicesView({ data, job }: ViewProps) {
  const over = useSignal<{ x: number; y: number } | null>(null);
  const { codes, usage, psnr } = data;
  if (!codes) return <p class="hint">This model’s autoencoder has no codebook.</p>;
  const columns = codes[0]?.length ?? 0;
  const code = over.value && codes[over.value.y]?.[over.value.x];
  return (
    <>
      <div class="step three">
        <figure>
          <img class="large" src={fileOf(job, '0.png')} alt="As encoded" />
          <figcaption>Encoded image</figcaption>
        </figure>
        <figure>
          <GridCanvas
            grid={codes}
            colour={codeColour}
            label={`${codes.length} rows of ${columns} code indices`}
            onOver={(at) => {
              over.value = at;
            }}
          />
          <figcaption>
            {code === null || code === undefined
              ? `${columns} × ${codes.length} code indices, one color each`
              : `Code index ${code} at ${over.value!.x + 1}, ${over.value!.y + 1}`}
          </figcaption>
        </figure>
        <figure>
          <img class="large" src={fileOf(job, '1.png')} alt="Reconstruction" />
          <figcaption>Reconstruction</figcaption>
        </figure>
      </div>
      <dl class="figures">
        <div>
          <dt>Distinct code indices</dt>
          <dd>
            {usage?.used} of {usage?.vocabulary}
          </dd>
        </div>
        <div>
          <dt>Perplexity</dt>
          <dd>{digits(usage?.perplexity)}</dd>
        </div>
        <div>
          <dt>PSNR</dt>
          <dd>{digits(psnr)} dB</dd>
        </div>
      </dl>
      <details class="fold">
        <summary>
          <span class="fold-title">As numbers</span>
        </summary>
        <textarea
          class="numbers"
          aria-label="Code indices as numbers"
          readOnly
          rows={Math.min(16, codes.length)}
          wrap="off"
          value={codes.map((row) => row.map((index) => String(index).padStart(5)).join('')).join('\n')}
        />
      </details>
    </>
  );
}

export function PatchesView({ data, job }: ViewProps) {
  const { patches, losses } = data;
  if (!patches) return <p class="hint">This model has no discriminator.</p>;
  const real = (logit: number): number => 1 / (1 + Math.exp(-logit));
  const all = patches.flat();
  const mean = all.reduce((sum, logit) => sum + real(logit), 0) / Math.max(1, all.length);
  const shownLosses = Object.entries(losses).filter(([, value]) => value !== null);
  return (
    <>
      <div class="step three">
        <figure>
          <img class="large" src={fileOf(job, '0.png')} alt="As encoded" />
          <figcaption>Encoded image</figcaption>
        </figure>
        <figure>
          <img class="large" src={fileOf(job, '2.png')} alt="Heat map of the patches" />
          <figcaption>Bright areas look real, dark ones generated</figcaption>
        </figure>
        <figure>
          <GridCanvas
            grid={patches}
            colour={(logit) => `rgb(${heat(real(logit)).join(' ')})`}
            label={`${patches.length} rows of patches; on average ${Math.round(mean * 100)} % real`}
          />
          <figcaption>
            {patches[0]?.length} × {patches.length} patches, {Math.round(mean * 100)} % real on average
          </figcaption>
        </figure>
      </div>
      <dl class="figures">
        {shownLosses.map(([name, value]) => (
          <div key={name}>
            <dt>{name.replaceAll('_', ' ')}</dt>
            <dd>{digits(value)}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}

interface GridProps {
  readonly grid: Grid;
  readonly colour: (value: number) => string;
  readonly label: string;
  readonly onOver?: (at: { x: number; y: number } | null) => void;
}

function GridCanvas({ grid, colour, label, onOver }: GridProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [height, width] = [grid.length, grid[0]?.length ?? 1];
  useEffect(() => {
    const context = canvas.current!.getContext('2d')!;
    grid.forEach((row, y) => {
      row.forEach((value, x) => {
        context.fillStyle = colour(value);
        context.fillRect(x, y, 1, 1);
      });
    });
  }, [grid]);
  return (
    <canvas
      ref={canvas}
      class="large"
      width={width}
      height={height}
      role="img"
      aria-label={label}
      onPointerMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        const x = Math.floor(((event.clientX - box.left) / box.width) * width);
        const y = Math.floor(((event.clientY - box.top) / box.height) * height);
        onOver?.({ x, y });
      }}
      onPointerLeave={() => onOver?.(null)}
    />
  );
}
