/** Images of a grid as a labelled table, one for each value of z. */
import { type CellPlace, indexOf, type ParsedAxes, sizesOf } from '../../../../lib/pipelines/grid/axes.js';
import type { ApiImage, ApiJob } from '../../api/types.js';
import { excerpt } from '../../logic/format.js';
import { promptOf } from '../../logic/names.js';
import { chooseSheet, focusAwaited, openCell, stagedAxes, visibleSheet } from '../../state/grid.js';
import { persistentSignal } from '../../state/persistent.js';
import { images, isActive, preview } from '../../state/stage.js';
import { moveFocus } from '../../ui/arrow-keys.js';
import { Slider } from '../../ui/numbers.js';

/** Width of a cell in pixels. */
const cellSize = persistentSignal('grid-cell', (stored) =>
  typeof stored === 'number' && stored >= MIN_SIZE && stored <= MAX_SIZE ? stored : 160,
);
const [MIN_SIZE, MAX_SIZE] = [64, 512];

/** An image with its index among those of the job. */
interface Cell {
  readonly image: ApiImage;
  readonly index: number;
}

export function GridTables({ job }: { readonly job: ApiJob }) {
  const axes = stagedAxes.value;
  if (!axes) return <p class="problem">This version of the page cannot show the axes of the grid.</p>;
  const cells = new Map(
    images.value.flatMap((image, index) =>
      image.cell === undefined ? [] : [[image.cell, { image, index }] as const],
    ),
  );
  const current = isActive(job) ? job.progress?.grid?.cell : undefined;
  const z = visibleSheet.value;
  return (
    <div class="grid-view">
      <div class="grid-head">
        <h2>{excerpt(promptOf(job), 120)}</h2>
        <Slider
          compact
          label="Image size"
          value={cellSize.value}
          {...{ min: MIN_SIZE, max: MAX_SIZE, step: 16 }}
          onChange={(value) => {
            cellSize.value = value;
          }}
        />
      </div>
      {axes.z && (
        <fieldset class="chips" aria-label="Sheet">
          {axes.z.values.map(({ label }, i) => (
            <button key={i} type="button" class="chip" aria-pressed={i === z} onClick={() => chooseSheet(i)}>
              {label}
            </button>
          ))}
        </fieldset>
      )}
      <Table {...{ job, axes, cells, z, current }} />
    </div>
  );
}

interface TableProps {
  readonly job: ApiJob;
  readonly axes: ParsedAxes;
  readonly cells: ReadonlyMap<number, Cell>;
  readonly z: number;
  /** Number of the cell that is generated now. */
  readonly current: number | undefined;
}

function Table({ job, axes, cells, z, current }: TableProps) {
  const [columns, rows] = sizesOf(axes);
  const caption = [`Grid of ${excerpt(promptOf(job), 80)}`, axes.z?.values[z]?.label]
    .filter(Boolean)
    .join(', ');
  return (
    <section
      class="grid-scroll"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it is scrolled with the keyboard
      tabIndex={0}
      aria-label={caption}
      onKeyDown={(event) => moveFocus(event, 'button.cell', 'td')}
    >
      <table
        class="grid-table"
        ref={(element) => {
          element?.style.setProperty('--cell', `${cellSize.value}px`);
          element?.style.setProperty('--cell-ratio', ratioOf(job, cells));
        }}
      >
        <caption class="visually-hidden">{caption}</caption>
        {axes.x && (
          <thead>
            <tr>
              {axes.y && <td />}
              {axes.x.values.map(({ label }, x) => (
                <th key={x} scope="col">
                  <span>{label}</span>
                </th>
              ))}
            </tr>
          </thead>
        )}
        <tbody>
          {Array.from({ length: rows }, (_, y) => (
            <tr key={y}>
              {axes.y && (
                <th scope="row">
                  <span>{axes.y.values[y]?.label}</span>
                </th>
              )}
              {Array.from({ length: columns }, (_, x) => (
                <td key={x}>
                  <CellContent {...{ job, axes, cells, current }} place={{ x, y, z }} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** Returns the proportions of places without an image: those of any image, or else the requested ones. */
function ratioOf({ options }: ApiJob, cells: ReadonlyMap<number, Cell>): string {
  const [known] = cells.values();
  const { width, height } = known?.image ?? options;
  return typeof width === 'number' && typeof height === 'number' ? `${width} / ${height}` : '1 / 1';
}

interface CellProps extends Omit<TableProps, 'z'> {
  readonly place: CellPlace;
}

/** An image, which opens with its settings; the preview of the current cell; or an empty place. */
function CellContent({ job, axes, cells, current, place }: CellProps) {
  const cell = indexOf(axes, place);
  const finished = cells.get(cell);
  if (finished) {
    const { image, index } = finished;
    return (
      <button
        type="button"
        class="cell"
        aria-label={`Open ${labelsAt(axes, place).join(', ')}`}
        ref={(element) => focusAwaited(element, index)}
        onClick={() => openCell(index)}
      >
        <img
          src={Math.max(image.width, image.height) > 512 ? `${image.url}?width=512` : image.url}
          alt=""
          width={image.width}
          height={image.height}
          loading="lazy"
        />
      </button>
    );
  }
  if (cell !== current)
    return (
      <span class="cell empty">
        <span class="visually-hidden">{isActive(job) ? 'not generated yet' : 'missing'}</span>
      </span>
    );
  const frame = preview.value;
  return (
    <span class="cell empty now">
      {frame?.job === job.id && frame.cell === cell ? <img src={frame.image} alt="" /> : null}
      <span class="visually-hidden">being generated</span>
    </span>
  );
}

/** Returns the labels of the values of a cell. */
export function labelsAt(axes: ParsedAxes, { x, y, z }: CellPlace): string[] {
  const values = [axes.x?.values[x], axes.y?.values[y], axes.z?.values[z]];
  return values.flatMap((value) => (value ? [value.label] : []));
}
