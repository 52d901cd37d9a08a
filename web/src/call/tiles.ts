// From LiveKit's participants to the tiles of the stage.
import {
  ConnectionQuality,
  Track,
  type LocalParticipant,
  type Participant,
  type Room,
  type TrackPublication,
} from 'livekit-client';
import type { ConnectionHealth, Picture, Tile } from './model.ts';

/** One object a track, so that a video element is attached once and not at every change of state. */
const pictures = new WeakMap<Track, Picture>();

function pictureOf(publication: TrackPublication | undefined): Picture | null {
  const track = publication?.track;
  if (!track || publication.isMuted) return null;
  let picture = pictures.get(track);
  if (!picture) {
    picture = {
      attach: (element) => void track.attach(element),
      detach: (element) => void track.detach(element),
    };
    pictures.set(track, picture);
  }
  return picture;
}

export function displayName(participant: Participant): string {
  return participant.name?.trim() || participant.identity;
}

function healthOf(participant: Participant): ConnectionHealth {
  switch (participant.connectionQuality) {
    case ConnectionQuality.Excellent:
    case ConnectionQuality.Good:
      return 'good';
    case ConnectionQuality.Poor:
      return 'poor';
    case ConnectionQuality.Lost:
      return 'lost';
    default:
      return 'unknown';
  }
}

/** Oneself first, then the others as they came: a newcomer never moves those who are there. */
/** What a product knows of the people in its room. */
export type Portrait = { name: string; hue: number };
export type PortraitOf = (identity: string) => Portrait | null;

export function tilesOf(room: Room, portraitOf: PortraitOf = () => null): Tile[] {
  const others = [...room.remoteParticipants.values()].sort(
    (a, b) => (a.joinedAt?.getTime() ?? 0) - (b.joinedAt?.getTime() ?? 0) || a.identity.localeCompare(b.identity),
  );
  return [room.localParticipant, ...others].flatMap((participant) => tilesOfParticipant(participant, portraitOf(participant.identity)));
}

function tilesOfParticipant(participant: Participant, portrait: Portrait | null): Tile[] {
  const camera = participant.getTrackPublication(Track.Source.Camera);
  const screen = participant.getTrackPublication(Track.Source.ScreenShare);
  const tile: Tile = {
    key: `${participant.identity}/camera`,
    identity: participant.identity,
    name: portrait?.name ?? displayName(participant),
    ...(portrait ? { hue: portrait.hue } : {}),
    isSelf: participant.isLocal,
    kind: 'camera',
    picture: pictureOf(camera),
    mirrored: participant.isLocal && !drawn(participant as LocalParticipant),
    microphoneOn: participant.isMicrophoneEnabled,
    speaking: participant.isSpeaking,
    health: healthOf(participant),
  };
  if (!screen) return [tile];
  return [
    tile,
    { ...tile, key: `${participant.identity}/screen`, kind: 'screen', picture: pictureOf(screen), mirrored: false },
  ];
}

/** A mirror shows oneself as one knows it; a drawing has nobody to recognise. */
function drawn(participant: LocalParticipant): boolean {
  return participant.getTrackPublication(Track.Source.Camera)?.videoTrack?.isUserProvided ?? false;
}

/** The tracks whose figures belong to a tile: its picture, and the sound that goes with it. */
export function tracksOfTile(room: Room, key: string): { isSelf: boolean; tracks: Track[] } | null {
  const at = key.lastIndexOf('/');
  const participant = room.getParticipantByIdentity(key.slice(0, at));
  if (!participant) return null;
  const sources =
    key.slice(at + 1) === 'screen'
      ? [Track.Source.ScreenShare, Track.Source.ScreenShareAudio]
      : [Track.Source.Camera, Track.Source.Microphone];
  const tracks = sources.flatMap((source) => participant.getTrackPublication(source)?.track ?? []);
  return { isSelf: participant.isLocal, tracks };
}
