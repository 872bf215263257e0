/** A picture that changes without a blank: the next one is shown once it is decoded, and of those that come too fast the newest. */
import { useEffect, useRef, useState } from 'preact/hooks';

interface FrameProps {
  readonly url: string | null;
  readonly alt: string;
  /** Pixels, for the place it takes before it is there. */
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

/** The newest of the given addresses whose picture is decoded. */
function useDecoded(url: string | null): string | null {
  const [shown, setShown] = useState<string | null>(null);
  const wanted = useRef(url);
  const busy = useRef(false);
  wanted.current = url;
  useEffect(() => {
    const next = async (): Promise<void> => {
      if (busy.current) return; // who is at it sees the newest when done
      busy.current = true;
      for (let done: string | null | undefined; done !== wanted.current; ) {
        done = wanted.current;
        if (done === null) {
          setShown(null);
          continue;
        }
        const image = new Image();
        image.src = done;
        await image.decode().catch(() => undefined);
        setShown(done);
      }
      busy.current = false;
    };
    void next();
  }, [url]);
  return shown;
}
