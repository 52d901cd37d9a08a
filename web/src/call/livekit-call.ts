// A call on a Sluice server, through the LiveKit client SDK.
import {
  DisconnectReason,
  LocalTrack,
  Room,
  RoomEvent,
  Track,
  type LocalTrackPublication,
  type Participant,
  type RemoteTrack,
} from 'livekit-client';
import { signalUrl, type SignalPath } from '../address.ts';
import { cameraOptions, microphoneOptions, openCamera } from '../media/capture.ts';
import { words } from '../words/index.ts';
import { loadPreferences, savePreferences } from '../preferences.ts';
import { deviceName, deviceProblem, joinProblem, type Device, type Problem } from '../problem.ts';
import { Store } from '../store.ts';
import { fetchToken } from '../token.ts';
import type { Call, CallState, DeviceKind, Notice, Phase } from './model.ts';
import { Notices } from './notices.ts';
import { TileMeter, type TileStats } from './stats.ts';
import { displayName, tilesOf, tracksOfTile, type PortraitOf } from './tiles.ts';

export interface JoinOptions {
  room: string;
  name: string;
  path: SignalPath;
  drawnCamera: boolean;
  /** What the lobby has open at the moment of joining; the call owns them from then on. */
  tracks(): LocalTrack[];
}

export interface EnterOptions {
  /** What the views call it. */
  room: string;
  name: string;
  path: SignalPath;
  drawnCamera: boolean;
  url: string;
  token: string;
  /** Whose names and colours the product knows better than the room. */
  portraitOf?: PortraitOf;
  /** The product itself says who comes and goes. */
  quiet?: boolean;
}

/** Ends with the call joined, or throws what `joinProblem` can explain. */
export async function joinCall(options: JoinOptions): Promise<Call> {
  const { token } = await fetchToken(options.room, options.name);
  return enterRoom({ ...options, url: signalUrl(), token }, options.tracks);
}

/** A track, or one that the browser is still opening. */
export type Opening = LocalTrack | { device: 'camera' | 'microphone'; track: Promise<LocalTrack> };

/** Enters a room with a token that is there already. The call owns the tracks from the moment that it asks for them. */
export async function enterRoom(options: EnterOptions, tracks: () => Opening[]): Promise<Call> {
  const { speakerId } = loadPreferences();
  const room = new Room({
    adaptiveStream: true,
    dynacast: true,
    singlePeerConnection: options.path === 'v1',
    publishDefaults: { simulcast: true },
    videoCaptureDefaults: cameraOptions(),
    audioCaptureDefaults: microphoneOptions(),
    ...(speakerId ? { audioOutput: { deviceId: speakerId } } : {}),
  });
  const call = new LiveKitCall(room, options);
  await room.connect(options.url, options.token);
  call.begin(tracks());
  return call;
}

/** `TrackSource.CAMERA` of the protocol. */
const CAMERA_SOURCE = 1;

function endingOf(reason: DisconnectReason | undefined): Problem {
  const w = words();
  switch (reason) {
    case DisconnectReason.DUPLICATE_IDENTITY:
      return { title: w.endedElsewhere, hint: w.endedElsewhereHint };
    case DisconnectReason.PARTICIPANT_REMOVED:
      return { title: w.endedRemoved, hint: w.endedRemovedHint };
    case DisconnectReason.ROOM_DELETED:
      return { title: w.endedTitle, hint: w.endedDeletedHint };
    case DisconnectReason.ROOM_CLOSED:
      return { title: w.endedTitle, hint: w.endedClosedHint };
    case DisconnectReason.SERVER_SHUTDOWN:
      return { title: w.restarting, hint: w.restartingHint };
    default:
      return { title: w.lost, hint: w.lostHint };
  }
}

class LiveKitCall implements Call {
  readonly room: string;
  readonly startedAt = Date.now();
  readonly state: Store<CallState>;
  readonly notices: Store<Notice[]>;

  readonly #room: Room;
  readonly #name: string;
  readonly #drawnCamera: boolean;
  readonly #portraitOf: PortraitOf;
  readonly #quiet: boolean;
  readonly #notices = new Notices();
  readonly #meters = new Map<string, TileMeter>();
  readonly #speakers = document.createElement('div');
  #phase: Phase = 'connected';
  #ended: Problem | null = null;
  #redrawing = false;
  #held = false;
  #beforeHold = { microphone: true, camera: false };
  /** Own requests to mute are under way; a mute that comes without one is the server's. */
  #muting = 0;

  constructor(room: Room, options: EnterOptions) {
    this.#room = room;
    this.#name = options.name;
    this.#drawnCamera = options.drawnCamera;
    this.#portraitOf = options.portraitOf ?? (() => null);
    this.#quiet = options.quiet ?? false;
    this.room = options.room;
    this.notices = this.#notices.store;
    this.state = new Store(this.#snapshot());
    this.#speakers.hidden = true;
    this.#listen();
  }

  begin(tracks: Opening[]): void {
    document.body.append(this.#speakers);
    this.#redraw();
    for (const opening of tracks) {
      if (opening instanceof LocalTrack) this.#publish(opening);
      else {
        opening.track.then(
          (track) => this.#publish(track),
          (error: unknown) => this.#notices.warn(deviceProblem(error, opening.device)),
        );
      }
    }
  }

  #publish(track: LocalTrack): void {
    if (this.#phase === 'ended') return track.stop();
    const device: Device = track.kind === Track.Kind.Video ? 'camera' : 'microphone';
    this.#room.localParticipant.publishTrack(track).catch((error: unknown) => {
      track.stop();
      this.#notices.warn(publishProblem(error, device));
    });
  }

  async setMicrophone(on: boolean): Promise<void> {
    await this.#change('microphone', () => this.#room.localParticipant.setMicrophoneEnabled(on, microphoneOptions()));
    savePreferences({ microphone: on });
  }

  async setCamera(on: boolean): Promise<void> {
    await this.#change('camera', () => this.#enableCamera(on));
    savePreferences({ camera: on });
  }

  async #enableCamera(on: boolean): Promise<void> {
    const local = this.#room.localParticipant;
    if (on && this.#drawnCamera && !local.getTrackPublication(Track.Source.Camera)) {
      await local.publishTrack(await openCamera(true, this.#name));
    } else {
      await local.setCameraEnabled(on, cameraOptions());
    }
  }

  async setScreen(on: boolean): Promise<void> {
    await this.#change('screen', () =>
      this.#room.localParticipant.setScreenShareEnabled(on, { audio: true, contentHint: 'detail' }),
    );
  }

  async useDevice(kind: DeviceKind, id: string): Promise<void> {
    const key = { audioinput: 'microphoneId', videoinput: 'cameraId', audiooutput: 'speakerId' }[kind];
    savePreferences({ [key]: id });
    try {
      await this.#room.switchActiveDevice(kind, id);
    } catch (error) {
      this.#notices.warn(deviceProblem(error, kind === 'videoinput' ? 'camera' : 'microphone'));
    }
  }

  activeDevice(kind: DeviceKind): string {
    return this.#room.getActiveDevice(kind) ?? '';
  }

  async unblockSound(): Promise<void> {
    await this.#room.startAudio();
  }

  async readStats(tileKey: string): Promise<TileStats | null> {
    const tile = tracksOfTile(this.#room, tileKey);
    if (!tile) return null;
    const reports = await Promise.all(tile.tracks.map((track) => track.getRTCStatsReport()));
    const meter = this.#meters.get(tileKey) ?? new TileMeter();
    this.#meters.set(tileKey, meter);
    return meter.read(
      tile.isSelf ? 'sending' : 'receiving',
      reports.filter((report) => report !== undefined),
    );
  }

  dismissNotice(id: number): void {
    this.#notices.dismiss(id);
  }

  async setHold(on: boolean): Promise<void> {
    for (const element of this.#speakers.querySelectorAll('audio')) element.muted = on;
    this.#held = on;
    const { localParticipant } = this.#room;
    if (on) {
      this.#beforeHold = { microphone: localParticipant.isMicrophoneEnabled, camera: localParticipant.isCameraEnabled };
    }
    const { microphone, camera } = on ? { microphone: false, camera: false } : this.#beforeHold;
    await this.#change('microphone', () => localParticipant.setMicrophoneEnabled(microphone, microphoneOptions()));
    if (localParticipant.isCameraEnabled !== camera) await this.#change('camera', () => this.#enableCamera(camera));
  }

  async leave(): Promise<void> {
    await this.#room.disconnect();
  }

  async #change(device: Device, change: () => Promise<unknown>): Promise<void> {
    this.#muting++;
    try {
      await change();
    } catch (error) {
      // Closing the browser's own dialog is a decision, not a failure.
      const declined = device === 'screen' && error instanceof Error && error.name === 'NotAllowedError';
      if (!declined) this.#notices.warn(publishProblem(error, device));
    } finally {
      this.#muting--;
      this.#redraw();
    }
  }

  #listen(): void {
    const room = this.#room;
    for (const event of REDRAW_ON) room.on(event, () => this.#redraw());
    room
      .on(RoomEvent.ParticipantConnected, (who) => this.#cameOrWent(words().joined, who))
      .on(RoomEvent.ParticipantDisconnected, (who) => {
        this.#cameOrWent(words().left, who);
        this.#meters.delete(`${who.identity}/camera`);
        this.#meters.delete(`${who.identity}/screen`);
      })
      .on(RoomEvent.TrackSubscribed, (track) => this.#play(track))
      .on(RoomEvent.TrackUnsubscribed, (track) => this.#silence(track))
      .on(RoomEvent.TrackMuted, (publication, participant) => {
        if (participant.isLocal && this.#muting === 0 && publication.source === Track.Source.Microphone) {
          this.#notices.inform(words().wereMuted);
        }
      })
      .on(RoomEvent.SignalReconnecting, () => this.#enter('reconnecting'))
      .on(RoomEvent.Reconnecting, () => this.#enter('reconnecting'))
      .on(RoomEvent.Reconnected, () => this.#enter('connected'))
      .on(RoomEvent.LocalTrackUnpublished, (publication) => stopScreen(publication))
      .on(RoomEvent.Disconnected, (reason) => this.#end(reason));
  }

  #cameOrWent(say: (name: string) => string, who: Participant): void {
    if (!this.#quiet) this.#notices.inform(say(this.#portraitOf(who.identity)?.name ?? displayName(who)));
  }

  #enter(phase: Phase): void {
    if (this.#phase !== 'ended') this.#phase = phase;
    this.#redraw();
  }

  #end(reason: DisconnectReason | undefined): void {
    this.#phase = 'ended';
    const left = reason === DisconnectReason.CLIENT_INITIATED;
    this.#ended = left ? null : endingOf(reason);
    this.#speakers.remove();
    this.#redraw();
  }

  #play(track: RemoteTrack): void {
    if (track.kind !== Track.Kind.Audio) return;
    const element = track.attach();
    element.muted = this.#held;
    this.#speakers.append(element);
  }

  #silence(track: RemoteTrack): void {
    if (track.kind === Track.Kind.Audio) for (const element of track.detach()) element.remove();
  }

  /** Many events come at once; the views see one new state for all of them. */
  #redraw(): void {
    if (this.#redrawing) return;
    this.#redrawing = true;
    queueMicrotask(() => {
      this.#redrawing = false;
      this.state.set(this.#snapshot());
    });
  }

  #snapshot(): CallState {
    const local = this.#room.localParticipant;
    return {
      phase: this.#phase,
      ended: this.#ended,
      tiles: tilesOf(this.#room, this.#portraitOf),
      microphoneOn: local.isMicrophoneEnabled,
      cameraOn: local.isCameraEnabled,
      sharingScreen: local.isScreenShareEnabled,
      soundBlocked: !this.#room.canPlaybackAudio,
      mayShowCamera: mayShowCamera(local.permissions),
    };
  }
}

const REDRAW_ON = [
  RoomEvent.ConnectionStateChanged,
  RoomEvent.ParticipantConnected,
  RoomEvent.ParticipantDisconnected,
  RoomEvent.ParticipantNameChanged,
  RoomEvent.TrackPublished,
  RoomEvent.TrackUnpublished,
  RoomEvent.TrackSubscribed,
  RoomEvent.TrackUnsubscribed,
  RoomEvent.TrackMuted,
  RoomEvent.TrackUnmuted,
  RoomEvent.LocalTrackPublished,
  RoomEvent.LocalTrackUnpublished,
  RoomEvent.ParticipantPermissionsChanged,
  RoomEvent.ActiveSpeakersChanged,
  RoomEvent.ConnectionQualityChanged,
  RoomEvent.AudioPlaybackStatusChanged,
] as const;

/** No list of sources means all of them; the list holds the numbers of the protocol. */
function mayShowCamera(permissions: Room['localParticipant']['permissions']): boolean {
  if (!permissions) return true;
  const { canPublish, canPublishSources } = permissions;
  return canPublish && (canPublishSources.length === 0 || canPublishSources.includes(CAMERA_SOURCE));
}

function stopScreen(publication: LocalTrackPublication): void {
  if (publication.source === Track.Source.ScreenShare) publication.track?.stop();
}

/** A failed publication is either the device's fault or the server's; the names of DOM errors tell. */
function publishProblem(error: unknown, device: Device): Problem {
  if (error instanceof DOMException) return deviceProblem(error, device);
  const { hint } = joinProblem(error);
  return { title: words().notSentTitle(deviceName(device)), hint };
}
