// The test page: one participant, driven from the test through `window.client`.
import {
  ConnectionState,
  DataPacket_Kind,
  Room,
  RoomEvent,
  Track,
  VideoPreset,
  type RemoteTrack,
  type RemoteTrackPublication,
  type SimulationScenario,
} from 'livekit-client';
import { drawPicture, playTone, type PictureOptions } from './picture.ts';
import { AudioWatch, VideoWatch, type AudioReport, type VideoReport } from './watch.ts';

export interface JoinOptions {
  url: string;
  token: string;
  path: 'v0' | 'v1';
  autoSubscribe?: boolean;
  dynacast?: boolean;
}

export interface StreamReport {
  identity: string;
  source: string;
  sid: string;
  muted: boolean;
  video: VideoReport | null;
  audio: AudioReport | null;
}

export interface Message {
  from: string;
  text: string;
  topic: string;
  reliable: boolean;
}

export interface SeenEvent {
  name: string;
  detail: string;
  /** Milliseconds since the page was opened. */
  at: number;
}

let room = new Room();
const videos = new Map<string, VideoWatch>();
const audios = new Map<string, AudioWatch>();
const messages: Message[] = [];
const events: SeenEvent[] = [];

function note(name: string, detail = ''): void {
  events.push({ name, detail, at: Math.round(performance.now()) });
}

function listen(): void {
  room
    .on(RoomEvent.TrackSubscribed, (track, publication, participant) => {
      note('subscribed', `${participant.identity} ${publication.source}`);
      watch(track, publication);
    })
    .on(RoomEvent.TrackUnsubscribed, (_track, publication, participant) => {
      note('unsubscribed', `${participant.identity} ${publication.source}`);
      unwatch(publication.trackSid);
    })
    .on(RoomEvent.DataReceived, (payload, participant, kind, topic) =>
      messages.push({
        from: participant?.identity ?? '',
        text: new TextDecoder().decode(payload),
        topic: topic ?? '',
        reliable: kind === DataPacket_Kind.RELIABLE,
      }),
    )
    .on(RoomEvent.ParticipantConnected, (who) => note('joined', who.identity))
    .on(RoomEvent.ParticipantDisconnected, (who) => note('left', who.identity))
    .on(RoomEvent.TrackMuted, (publication, who) => note('muted', `${who.identity} ${publication.source}`))
    .on(RoomEvent.TrackUnmuted, (publication, who) => note('unmuted', `${who.identity} ${publication.source}`))
    .on(RoomEvent.ParticipantMetadataChanged, (_before, who) => note('metadata', `${who.identity} ${who.metadata}`))
    .on(RoomEvent.ActiveSpeakersChanged, (who) => note('speakers', who.map((p) => p.identity).join(' ')))
    .on(RoomEvent.SignalReconnecting, () => note('signal-reconnecting'))
    .on(RoomEvent.Reconnecting, () => note('reconnecting'))
    .on(RoomEvent.Reconnected, () => note('reconnected'))
    .on(RoomEvent.Disconnected, (reason) => note('disconnected', String(reason)));
}

function watch(track: RemoteTrack, publication: RemoteTrackPublication): void {
  unwatch(publication.trackSid);
  if (track.kind === Track.Kind.Video) videos.set(publication.trackSid, new VideoWatch(track));
  else audios.set(publication.trackSid, new AudioWatch(track));
}

function unwatch(sid: string): void {
  videos.get(sid)?.remove();
  audios.get(sid)?.remove();
  videos.delete(sid);
  audios.delete(sid);
}

function remotePublication(identity: string, source: string): RemoteTrackPublication {
  const found = room.remoteParticipants.get(identity)?.getTrackPublication(source as Track.Source);
  if (!found) throw new Error(`${identity} publishes no ${source}`);
  return found as RemoteTrackPublication;
}

function localTrack(source: string) {
  const track = room.localParticipant.getTrackPublication(source as Track.Source)?.track;
  if (!track) throw new Error(`no own ${source}`);
  return track;
}

const client = {
  async join({ url, token, path, autoSubscribe = true, dynacast = true }: JoinOptions): Promise<void> {
    room = new Room({ adaptiveStream: false, dynacast, singlePeerConnection: path === 'v1' });
    listen();
    await room.connect(url, token, { autoSubscribe });
  },
  async leave(): Promise<void> {
    await room.disconnect();
  },
  /** Always in three layers: the picture, half of it, a quarter of it. */
  async publishPicture(options: PictureOptions): Promise<string> {
    const { width, height, framesPerSecond } = options;
    const track = drawPicture(options);
    const claimed = Math.max(1, SMALLEST_WITH_THREE_LAYERS / width);
    claimToBeLarger(track, claimed);
    const publication = await room.localParticipant.publishTrack(track, {
      source: Track.Source.Camera,
      simulcast: true,
      videoEncoding: { maxBitrate: width >= 1280 ? 1_500_000 : 300_000, maxFramerate: framesPerSecond },
      videoSimulcastLayers: [
        new VideoPreset((claimed * width) / 4, (claimed * height) / 4, 60_000, framesPerSecond),
        new VideoPreset((claimed * width) / 2, (claimed * height) / 2, 150_000, framesPerSecond),
      ],
    });
    return publication.trackSid;
  },
  async publishTone(hertz: number): Promise<string> {
    const publication = await room.localParticipant.publishTrack(await playTone(hertz), { source: Track.Source.Microphone });
    return publication.trackSid;
  },
  async unpublish(source: string): Promise<void> {
    await room.localParticipant.unpublishTrack(localTrack(source));
  },
  async mute(source: string): Promise<void> {
    await localTrack(source).mute();
  },
  async unmute(source: string): Promise<void> {
    await localTrack(source).unmute();
  },
  async send(text: string, options: { reliable: boolean; to?: string[]; topic?: string }): Promise<void> {
    await room.localParticipant.publishData(new TextEncoder().encode(text), {
      reliable: options.reliable,
      ...(options.to ? { destinationIdentities: options.to } : {}),
      ...(options.topic ? { topic: options.topic } : {}),
    });
  },
  async setMetadata(metadata: string): Promise<void> {
    await room.localParticipant.setMetadata(metadata);
  },
  subscribe(identity: string, source: string, wanted: boolean): void {
    remotePublication(identity, source).setSubscribed(wanted);
  },
  askForSize(identity: string, source: string, width: number, height: number): void {
    remotePublication(identity, source).setVideoDimensions({ width, height });
  },
  async disturb(scenario: SimulationScenario): Promise<void> {
    await room.simulateScenario(scenario);
  },
  /** Begins a new measurement of how long pictures stand still. */
  startWindow(): void {
    for (const video of videos.values()) video.restart();
  },
  streams(): Promise<StreamReport[]> {
    const streams = [...room.remoteParticipants.values()].flatMap((participant) =>
      [...participant.trackPublications.values()].map(async (publication) => ({
        identity: participant.identity,
        source: publication.source,
        sid: publication.trackSid,
        muted: publication.isMuted,
        video: videos.get(publication.trackSid)?.read() ?? null,
        audio: (await audios.get(publication.trackSid)?.read()) ?? null,
      })),
    );
    return Promise.all(streams);
  },
  people: (): string[] => [...room.remoteParticipants.keys()],
  metadataOf: (identity: string): string => room.getParticipantByIdentity(identity)?.metadata ?? '',
  speakers: (): string[] => room.activeSpeakers.map((who) => who.identity),
  connected: (): boolean => room.state === ConnectionState.Connected,
  messages: (): Message[] => messages,
  events: (): SeenEvent[] => events,
  /** The layers being encoded now, by RID, with their sizes. */
  async sentLayers(): Promise<Record<string, string>> {
    const report = await localTrack(Track.Source.Camera).getRTCStatsReport();
    const layers: Record<string, string> = {};
    for (const entry of report?.values() ?? []) {
      if (entry.type === 'outbound-rtp' && entry.active !== false && entry.frameWidth) {
        layers[entry.rid ?? ''] = `${entry.frameWidth}x${entry.frameHeight}`;
      }
    }
    return layers;
  },
  /** How the media travels: `udp` or `tcp`, once for each peer connection that is connected. */
  async transports(): Promise<string[]> {
    const connections = room.engine.pcManager ? [room.engine.pcManager.publisher, room.engine.pcManager.subscriber] : [];
    const reports = await Promise.all(connections.map((connection) => connection?.getStats()));
    return reports.flatMap((report) => (report ? transportOf(report) : []));
  },
};

function transportOf(report: RTCStatsReport): string[] {
  const entries = [...report.values()];
  const transport = entries.find((entry) => entry.type === 'transport' && entry.selectedCandidatePairId);
  // Firefox has no transport entry; its selected pair says so itself.
  const pair = transport
    ? report.get(transport.selectedCandidatePairId)
    : entries.find((entry) => entry.type === 'candidate-pair' && entry.selected);
  const local = pair && report.get(pair.localCandidateId);
  return local ? [String(local.protocol)] : [];
}

/** The SDK sends three layers of pictures this wide, and fewer of smaller ones. */
const SMALLEST_WITH_THREE_LAYERS = 960;

/** Four people with three layers of a large picture would need more than two cores. */
function claimToBeLarger(track: MediaStreamTrack, factor: number): void {
  if (factor === 1) return;
  const settings = track.getSettings.bind(track);
  track.getSettings = () => {
    const { width = 0, height = 0, ...rest } = settings();
    return { ...rest, width: width * factor, height: height * factor };
  };
}

export type ClientApi = typeof client;

declare global {
  interface Window {
    callClient(name: keyof ClientApi, args: unknown[]): Promise<unknown>;
  }
}

window.callClient = async (name, args) => (client[name] as (...args: unknown[]) => unknown)(...args);
