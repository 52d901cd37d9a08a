// One rectangle of the stage: a picture or initials, the name, and what one should know about its sender.
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Call, Tile } from '../call/model.ts';
import type { Rect } from '../layout/tiling.ts';
import { useWords, words, type Words } from '../words/index.ts';
import { MicrophoneIcon, PinIcon, ScreenIcon, WarningIcon } from './icons.tsx';
import { hueOf, initials } from './names.ts';
import { StatsOverlay } from './stats-overlay.tsx';

interface Props {
  call: Call;
  tile: Tile;
  place: Rect;
  pinned: boolean;
  /** A single tile is large anyway. */
  canPin: boolean;
  showStats: boolean;
  /** Lies over another picture. */
  floating?: boolean;
  onPin(): void;
}

export function TileView({ call, tile, place, pinned, canPin, showStats, floating = false, onPin }: Props) {
  const w = useWords();
  const label = tileLabel(tile, w);
  const small = place.width < 220 || place.height < 130;
  return (
    <div
      class={`tile ${tile.kind} ${tile.speaking && tile.kind === 'camera' ? 'speaking' : ''} ${floating ? 'floating' : ''}`}
      data-key={tile.key}
      data-small={small}
      role="group"
      aria-label={spoken(tile)}
      style={{
        '--hue': tile.hue ?? hueOf(tile.name),
        transform: `translate(${place.x}px, ${place.y}px)`,
        width: `${place.width}px`,
        height: `${place.height}px`,
      }}
      onDblClick={onPin}
    >
      {tile.picture ? (
        <TileVideo tile={tile} place={place} />
      ) : (
        <div class="avatar" aria-hidden="true">
          {tile.kind === 'screen' ? <ScreenIcon /> : initials(tile.name)}
        </div>
      )}
      <span class="tile-ring" />
      {showStats && <StatsOverlay call={call} tileKey={tile.key} small={small} />}
      {canPin && (
        <button
          type="button"
          class="tile-pin"
          aria-pressed={pinned}
          aria-label={pinned ? w.showInGrid(label) : w.showLarge(label)}
          title={pinned ? w.backToGrid : w.large}
          onClick={onPin}
        >
          <PinIcon />
        </button>
      )}
      <div class="tile-label" aria-hidden="true">
        {tile.kind === 'screen' ? <ScreenIcon /> : !tile.microphoneOn && <MicrophoneIcon off />}
        <span>{label}</span>
        {(tile.health === 'poor' || tile.health === 'lost') && (
          <span class="tile-health" title={w.poorConnection}>
            <WarningIcon />
          </span>
        )}
      </div>
    </div>
  );
}

function tileLabel(tile: Tile, w: Words): string {
  if (tile.kind === 'screen') return tile.isSelf ? w.yourScreen : w.screenOf(tile.name);
  return tile.isSelf ? w.nameYou(tile.name) : tile.name;
}

/** What a screen reader says; speaking is left out, it would talk over the call. */
function spoken(tile: Tile): string {
  const w = words();
  if (tile.kind === 'screen') return tileLabel(tile, w);
  const parts = [tileLabel(tile, w), tile.microphoneOn ? w.microphoneOn : w.muted];
  if (!tile.picture) parts.push(w.cameraIsOff);
  if (tile.health === 'poor' || tile.health === 'lost') parts.push(w.poorConnection);
  return parts.join(', ');
}

function TileVideo({ tile, place }: { tile: Tile; place: Rect }) {
  const video = useRef<HTMLVideoElement>(null);
  const [aspect, setAspect] = useState(0);
  const { picture } = tile;
  useEffect(() => {
    const element = video.current;
    if (!element || !picture) return;
    picture.attach(element);
    return () => picture.detach(element);
  }, [picture]);
  // A phone's upright picture in a wide tile (or the reverse) would lose the face to cropping.
  const unlike = aspect > 0 && aspect < 1 !== place.width < place.height && Math.abs(Math.log(aspect)) > 0.1;
  return (
    <video
      ref={video}
      class={tile.mirrored ? 'mirrored' : ''}
      data-fit={tile.kind === 'screen' || (unlike && aspect < 1) ? 'contain' : 'cover'}
      autoplay
      playsInline
      muted
      onResize={(event) => {
        const { videoWidth, videoHeight } = event.currentTarget;
        setAspect(videoHeight > 0 ? videoWidth / videoHeight : 0);
      }}
    />
  );
}
