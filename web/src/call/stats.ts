// From WebRTC's counters to the few figures that the overlay shows.
// Source of the fields: W3C "Identifiers for WebRTC's Statistics API".

export interface VideoLayerStats {
  /** The simulcast layer's RID when sending, empty otherwise. */
  rid: string;
  width: number;
  height: number;
  framesPerSecond: number;
  bitsPerSecond: number;
}

export interface TileStats {
  direction: 'sending' | 'receiving';
  /** Empty while no picture flows. When sending, one entry a layer, the largest first. */
  video: VideoLayerStats[];
  videoCodec: string;
  audioBitsPerSecond: number;
  audioCodec: string;
  /** Share of packets lost since the last reading, 0 to 1; `null` when not known. */
  videoLoss: number | null;
  audioLoss: number | null;
}

interface Counter {
  at: number;
  bytes: number;
  packets: number;
  lost: number;
}

/** The fields read here, of inbound-rtp, outbound-rtp, remote-inbound-rtp and codec entries alike. */
interface RtpEntry {
  id: string;
  type: string;
  timestamp: number;
  kind?: 'audio' | 'video';
  codecId?: string;
  mimeType?: string;
  rid?: string;
  active?: boolean;
  bytesReceived?: number;
  bytesSent?: number;
  packetsReceived?: number;
  packetsLost?: number;
  fractionLost?: number;
  frameWidth?: number;
  frameHeight?: number;
  framesPerSecond?: number;
}

/** Turns reports of one tile into rates. It keeps the previous counters, hence one meter a tile. */
export class TileMeter {
  #before = new Map<string, Counter>();

  read(direction: TileStats['direction'], reports: Iterable<ReadonlyMap<string, unknown>>): TileStats {
    const stats: TileStats = {
      direction,
      video: [],
      videoCodec: '',
      audioBitsPerSecond: 0,
      audioCodec: '',
      videoLoss: null,
      audioLoss: null,
    };
    const seen = new Map<string, Counter>();
    for (const report of reports) {
      for (const value of report.values()) {
        const entry = value as RtpEntry;
        if (entry.type === 'inbound-rtp' || entry.type === 'outbound-rtp') this.#media(entry, report, stats, seen);
        if (entry.type === 'remote-inbound-rtp') remoteLoss(entry, stats);
      }
    }
    this.#before = seen;
    stats.video.sort((a, b) => b.width * b.height - a.width * a.height);
    return stats;
  }

  #media(entry: RtpEntry, report: ReadonlyMap<string, unknown>, stats: TileStats, seen: Map<string, Counter>): void {
    const now: Counter = {
      at: entry.timestamp,
      bytes: entry.bytesReceived ?? entry.bytesSent ?? 0,
      packets: entry.packetsReceived ?? 0,
      lost: entry.packetsLost ?? 0,
    };
    seen.set(entry.id, now);
    const before = this.#before.get(entry.id);
    const rate = before ? bitsPerSecond(before, now) : 0;
    const loss = before && entry.type === 'inbound-rtp' ? lossBetween(before, now) : null;
    const codec = codecName(report.get(entry.codecId ?? '') as RtpEntry | undefined);
    if (entry.kind === 'audio') {
      stats.audioBitsPerSecond += rate;
      stats.audioCodec = codec || stats.audioCodec;
      stats.audioLoss = worse(stats.audioLoss, loss);
    } else if (entry.frameWidth && entry.frameHeight && entry.active !== false) {
      stats.videoCodec = codec || stats.videoCodec;
      stats.videoLoss = worse(stats.videoLoss, loss);
      stats.video.push({
        rid: entry.rid ?? '',
        width: entry.frameWidth,
        height: entry.frameHeight,
        framesPerSecond: Math.round(entry.framesPerSecond ?? 0),
        bitsPerSecond: rate,
      });
    }
  }
}

function remoteLoss(entry: RtpEntry, stats: TileStats): void {
  const loss = entry.fractionLost ?? null;
  if (entry.kind === 'audio') stats.audioLoss = worse(stats.audioLoss, loss);
  else stats.videoLoss = worse(stats.videoLoss, loss);
}

function bitsPerSecond(before: Counter, now: Counter): number {
  const seconds = (now.at - before.at) / 1000;
  return seconds > 0 ? Math.max(0, ((now.bytes - before.bytes) * 8) / seconds) : 0;
}

function lossBetween(before: Counter, now: Counter): number | null {
  // A late packet takes a loss back, so the difference may be negative.
  const lost = Math.max(0, now.lost - before.lost);
  const expected = now.packets - before.packets + lost;
  return expected > 0 ? lost / expected : null;
}

function worse(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b;
  return Math.max(a, b);
}

function codecName(entry: RtpEntry | undefined): string {
  const name = (entry?.mimeType ?? '').split('/')[1] ?? '';
  return name === 'opus' ? 'Opus' : name;
}

export function formatBitrate(bitsPerSecond: number): string {
  if (bitsPerSecond >= 1_000_000) return `${(bitsPerSecond / 1_000_000).toFixed(1)} Mbit/s`;
  return `${Math.round(bitsPerSecond / 1_000)} kbit/s`;
}

export function formatLoss(loss: number | null): string {
  return loss === null ? '–' : `${(loss * 100).toFixed(1)} %`;
}
