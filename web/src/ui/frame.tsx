/**
 * An image that changes without flicker: a new image is shown once it is decoded. If several arrive in the
 * meantime, only the newest is shown.
 */
import { useEffect, useRef, useState } from 'preact/hooks';

interface FrameProps {
  readonly url: string | null;
  readonly alt: string;
  /** Size in pixels, which reserves space before the image is loaded. */
  readonly width: number;
  readonly height: number;
}

export function Frame({ url, alt, width, height }: FrameProps) {
  const shown = useDecoded(url);
  return (
    <div class="frame" ref={(element) => element?.style.setProperty('--ratio', `${width} / ${height}`)}>
      {shown ? <img src={shown} alt={alt} width={width} height={height} /> : <div class="tray" />}
    </div>
  );
}

/** Returns the most recent URL whose image is decoded. */
function useDecoded(url: string | null): string | null {
  const [shown, setShown] = useState<string | null>(null);
  const latest = useRef(url);
  const busy = useRef(false);
  latest.current = url;
  useEffect(() => {
    const next = async (): Promise<void> => {
      if (busy.current) return; // the running loop continues with the newest URL
      busy.current = true;
      for (let decoded: string | null | undefined; decoded !== latest.current; ) {
        decoded = latest.current;
        if (decoded === null) {
          setShown(null);
          continue;
        }
        const image = new Image();
        image.src = decoded;
        await image.decode().catch(() => undefined);
        setShown(decoded);
      }
      busy.current = false;
    };
    void next();
  }, [url]);
  return shown;
}
