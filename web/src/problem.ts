// Every failure that a user can meet, as one sentence of what happened and one of what to do.
import { ConnectionError, ConnectionErrorReason } from 'livekit-client';
import { words } from './words/index.ts';

export interface Problem {
  title: string;
  hint: string;
}

export type Device = 'camera' | 'microphone' | 'screen';

export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.title);
  }
}

export function deviceProblem(error: unknown, device: Device): Problem {
  const w = words();
  const what = deviceName(device);
  switch (error instanceof Error ? error.name : '') {
    case 'NotAllowedError':
    case 'SecurityError':
      return { title: w.deviceRefused(what), hint: w.deviceRefusedHint };
    case 'NotFoundError':
    case 'DevicesNotFoundError':
    case 'OverconstrainedError':
      return { title: w.deviceMissing(what), hint: w.deviceMissingHint };
    case 'NotReadableError':
    case 'TrackStartError':
      return { title: w.deviceBusy(what), hint: w.deviceBusyHint };
    default:
      if (!navigator.mediaDevices) return { title: w.deviceHidden(what), hint: w.deviceHiddenHint };
      return { title: w.deviceFailed(what), hint: w.deviceFailedHint(reasonOf(error)) };
  }
}

export function deviceName(device: Device): string {
  const w = words();
  return { camera: w.deviceCamera, microphone: w.deviceMicrophone, screen: w.deviceScreen }[device];
}

export function joinProblem(error: unknown): Problem {
  const w = words();
  if (error instanceof ProblemError) return error.problem;
  if (error instanceof ConnectionError) {
    switch (error.reason) {
      case ConnectionErrorReason.NotAllowed:
        return { title: w.notAllowedTitle, hint: w.notAllowedHint(sentence(error.message)) };
      case ConnectionErrorReason.ServerUnreachable:
      case ConnectionErrorReason.WebSocket:
        return { title: w.unreachableTitle, hint: w.unreachableCallHint };
      case ConnectionErrorReason.Timeout:
        return { title: w.slowTitle, hint: w.slowHint };
      default:
        return mediaProblem(error.message);
    }
  }
  return { title: w.joinFailed, hint: sentence(reasonOf(error)) };
}

/** Signalling works and media does not find its way. */
function mediaProblem(message: string): Problem {
  const w = words();
  const onThisMachine = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);
  if (onThisMachine && navigator.userAgent.includes('Firefox/')) return { title: w.firefoxTitle, hint: w.firefoxHint };
  return { title: w.joinFailed, hint: sentence(message) };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : error === null ? '' : String(error);
}

function sentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === '') return words().tryAgainSentence;
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}
