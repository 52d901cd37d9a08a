// The figures of one tile, read every second while they are shown.
import { useEffect, useState } from 'preact/hooks';
import type { Call } from '../call/model.ts';
import { formatBitrate, formatLoss, type TileStats } from '../call/stats.ts';

const READ_EVERY_MS = 1_000;

interface Props {
  call: Call;
  tileKey: string;
  /** The tile has room for three short lines only. */
  small: boolean;
}

export function StatsOverlay({ call, tileKey, small }: Props) {
  const stats = useTileStats(call, tileKey);
  if (!stats) return null;
  return small ? <ShortStats stats={stats} /> : <LongStats stats={stats} />;
}

function useTileStats(call: Call, tileKey: string): TileStats | null {
  const [stats, setStats] = useState<TileStats | null>(null);
  useEffect(() => {
    let gone = false;
    const read = async () => {
      const next = await call.readStats(tileKey);
      if (!gone) setStats(next);
    };
    void read();
    const timer = setInterval(() => void read(), READ_EVERY_MS);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [call, tileKey]);
  return stats;
}

function ShortStats({ stats }: { stats: TileStats }) {
  const [largest] = stats.video;
  const total = stats.video.reduce((sum, layer) => sum + layer.bitsPerSecond, 0);
  return (
    <div class="stats short" data-testid="stats">
      {largest ? (
        <>
          <span>
            {largest.width}×{largest.height} {stats.videoCodec}
          </span>
          <span>{formatBitrate(total)}</span>
        </>
      ) : (
        <span>no picture</span>
      )}
      <span>loss {formatLoss(stats.videoLoss ?? stats.audioLoss)}</span>
    </div>
  );
}

function LongStats({ stats }: { stats: TileStats }) {
  return (
    <dl class="stats" data-testid="stats">
      <dt>{stats.direction === 'sending' ? 'Sending' : 'Receiving'}</dt>
      <dd>{stats.videoCodec || 'no picture'}</dd>
      {stats.video.map((layer) => (
        <div class="stats-row" key={layer.rid}>
          <dt>
            {layer.width}×{layer.height}
          </dt>
          <dd>
            {layer.framesPerSecond} fps · {formatBitrate(layer.bitsPerSecond)}
          </dd>
        </div>
      ))}
      <dt>Video loss</dt>
      <dd>{formatLoss(stats.videoLoss)}</dd>
      <dt>{stats.audioCodec || 'Sound'}</dt>
      <dd>{stats.audioCodec ? `${formatBitrate(stats.audioBitsPerSecond)} · loss ${formatLoss(stats.audioLoss)}` : 'off'}</dd>
    </dl>
  );
}
