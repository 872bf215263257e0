/** Small charts without axes; their numbers are shown next to them. */

interface LineProps {
  readonly values: readonly (number | null)[];
  readonly at?: number;
  readonly label: string;
}

export function Line({ values, at, label }: LineProps) {
  const finite = values.map((value) => (value !== null && Number.isFinite(value) ? value : 0));
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const x = (i: number): number => (finite.length > 1 ? (i / (finite.length - 1)) * 300 : 150);
  const y = (value: number): number => (high > low ? 56 - ((value - low) / (high - low)) * 52 : 30);
  return (
    <svg class="chart" viewBox="-4 0 308 60" preserveAspectRatio="none" role="img" aria-label={label}>
      <polyline points={finite.map((value, i) => `${x(i)},${y(value)}`).join(' ')} />
      {at !== undefined && <line x1={x(at)} x2={x(at)} y1="0" y2="60" />}
    </svg>
  );
}

export function Bars({ counts, label }: { readonly counts: readonly number[]; readonly label: string }) {
  const highest = Math.max(1, ...counts);
  const width = 300 / Math.max(1, counts.length);
  return (
    <svg class="chart" viewBox="0 0 300 60" preserveAspectRatio="none" role="img" aria-label={label}>
      {counts.map((count, i) => (
        // Square roots, so that small counts remain visible.
        <rect
          key={`${i}`}
          x={i * width}
          y={60 - Math.sqrt(count / highest) * 60}
          width={width * 0.85}
          height={Math.sqrt(count / highest) * 60}
        />
      ))}
    </svg>
  );
}
