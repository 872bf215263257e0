/** SVG icons on a grid of 24 units, in the color of the surrounding text. */
const PATHS = {
  brush:
    'M4 20c3 0 4.5-1 4.5-3.5a2.5 2.5 0 0 0-5 0C3.500 18 3 19 2 19.500 2.700 19.900 3.300 20 4 20ZM9.500 14 20 3.500a1.400 1.400 0 0 1 2 2L11.500 16',
  eraser: 'm7 20-4.500-4.500a1.500 1.500 0 0 1 0-2L13 3l7.500 7.500L11 20H7Zm0 0h14M8 8l7.500 7.500',
  hand: 'M12 2v20M2 12h20M12 2 9 5m3-3 3 3M12 22l-3-3m3 3 3-3M2 12l3-3m-3 3 3 3m17-3-3-3m3 3-3 3',
  undo: 'M4 9h10a5.500 5.500 0 0 1 0 11h-4M4 9l4-4M4 9l4 4',
  redo: 'M20 9H10a5.500 5.500 0 0 0 0 11h4M20 9l-4-4M20 9l-4 4',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5',
  invert: 'M12 3a9 9 0 1 0 0 18ZM12 3a9 9 0 0 1 0 18',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  fit: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
  close: 'M6 6l12 12M18 6 6 18',
  up: 'm6 14 6-6 6 6',
  down: 'm6 10 6 6 6-6',
  left: 'm14 6-6 6 6 6',
  right: 'm10 6 6 6-6 6',
  dice: 'M4 4h16v16H4ZM8.500 8.500h.01M15.500 8.500h.01M12 12h.01M8.500 15.500h.01M15.500 15.500h.01',
  save: 'M12 4v11m0 0-4.500-4.500M12 15l4.500-4.500M4 20h16',
  compare: 'M12 3v18M3 6h6v12H3ZM15 6h6v12h-6',
  inspect: 'M2 12s3.500-7 10-7 10 7 10 7-3.500 7-10 7-10-7-10-7ZM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6Z',
  image: 'M4 5h16v14H4ZM4 16l5-5 4 4 3-3 4 4M15 9.500h.01',
  enlarge: 'M4 13v7h7M4 20l7-7M20 11V4h-7M20 4l-7 7',
  upscale: 'M4 13h7v7H4ZM8 9V4h12v12h-5M13 11l3.500-3.500M13 7.500h3.500V11',
  text: 'M5 6V4h14v2M12 4v16M9 20h6',
  mask: 'M4 5h16v14H4ZM9 12a3 3 0 1 0 6 0 3 3 0 0 0-6 0Z',
  pencil: 'M4 20l1-5L16 4l4 4L9 19ZM14 6l4 4',
  help: 'M9 9a3 3 0 1 1 4 2.800c-.700.300-1 .900-1 1.700V14M12 18h.01M12 2.500a9.500 9.500 0 1 0 0 19 9.500 9.500 0 0 0 0-19Z',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500 19 19M5 19l1.500-1.500M17.500 6.500 19 5',
  moon: 'M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500Z',
  system: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm0 0v18M12 8h7M12 12h9M12 16h7',
  exit: 'M14 4h6v16h-6M3 12h11M10 8l4 4-4 4',
  back: 'M20 12H5m0 0 6-6m-6 6 6 6',
  grid: 'M4 4h16v16H4ZM4 9.500h16M4 14.500h16M9.500 4v16M14.500 4v16',
  stop: 'M6 6h12v12H6Z',
  check: 'm5 12 5 5L19 7',
  reuse: 'M4 12a8 8 0 0 1 14-5l2 2M20 4v5h-5M20 12a8 8 0 0 1-14 5l-2-2M4 20v-5h5',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
