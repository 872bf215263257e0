/** Two pictures, one over the other: what lies left of the handle is the first, right of it the second. */
import { signal } from '@preact/signals';
import { excerpt } from '../logic/format.js';
import { promptOf } from '../logic/names.js';
import { gallery } from '../state/jobs.js';
import { compared, current, stage } from '../state/stage.js';
import { Select } from '../ui/controls.js';

const share = signal(50);

export function Compare() {
  const first = current.value!;
  const other = gallery.value.find(
    ({ job, index }) => job.id === compared.value?.job && index === compared.value?.index,
  );
  const options = gallery.value.map(({ job, picture, index }) => {
    const seed = picture.seed === undefined ? '' : `, seed ${picture.seed}`;
    return [`${job.id}/${index}`, `${excerpt(promptOf(job), 40)}${seed}`] as const;
  });
  const chosen = (pair: { job: string; index: number } | null): string => `${pair?.job}/${pair?.index}`;
  const parsed = (value: string) => {
    const at = value.lastIndexOf('/');
    return { job: value.slice(0, at), index: Number(value.slice(at + 1)) };
  };
  const { width, height } = first.picture;
  return (
    <section class="stage" aria-label="Comparison">
      <div
        class="frame comparison"
        ref={(element) => {
          element?.style.setProperty('--ratio', `${width} / ${height}`);
          element?.style.setProperty('--share', `${share.value}%`);
        }}
      >
        {other && <img src={other.picture.url} alt="On the right" />}
        <img class="over" src={first.picture.url} alt="On the left" />
        <div class="handle" aria-hidden="true" />
        <input
          type="range"
          aria-label="Share of the first picture"
          min={0}
          max={100}
          value={share.value}
          onInput={(event) => {
            share.value = event.currentTarget.valueAsNumber;
          }}
        />
      </div>
      <div class="pair">
        <Select
          label="Left"
          value={chosen(stage.value)}
          options={options}
          onChange={(value) => {
            stage.value = parsed(value);
          }}
        />
        <Select
          label="Right"
          value={chosen(compared.value)}
          options={options}
          onChange={(value) => {
            compared.value = parsed(value);
          }}
        />
      </div>
      <div class="row-end">
        <button
          type="button"
          class="plain"
          onClick={() => {
            compared.value = null;
          }}
        >
          End the comparison
        </button>
      </div>
    </section>
  );
}
