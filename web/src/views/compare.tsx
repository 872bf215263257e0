/** Compares two images: the first is shown to the left of the divider, the second to the right. */
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
  const options = gallery.value.map(({ job, image, index }) => {
    const seed = image.seed === undefined ? '' : `, seed ${image.seed}`;
    return [`${job.id}/${index}`, `${excerpt(promptOf(job), 40)}${seed}`] as const;
  });
  const keyOf = (pair: { job: string; index: number } | null): string => `${pair?.job}/${pair?.index}`;
  const parseKey = (value: string) => {
    const at = value.lastIndexOf('/');
    return { job: value.slice(0, at), index: Number(value.slice(at + 1)) };
  };
  const { width, height } = first.image;
  return (
    <section class="stage" aria-label="Comparison">
      <div
        class="frame comparison"
        ref={(element) => {
          element?.style.setProperty('--ratio', `${width} / ${height}`);
          element?.style.setProperty('--share', `${share.value}%`);
        }}
      >
        {other && <img src={other.image.url} alt="Right" />}
        <img class="over" src={first.image.url} alt="Left" />
        <div class="handle" aria-hidden="true" />
        <input
          type="range"
          aria-label="Position of the divider"
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
          value={keyOf(stage.value)}
          options={options}
          onChange={(value) => {
            stage.value = parseKey(value);
          }}
        />
        <Select
          label="Right"
          value={keyOf(compared.value)}
          options={options}
          onChange={(value) => {
            compared.value = parseKey(value);
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
          Close comparison
        </button>
      </div>
    </section>
  );
}
