// The people of a call who are not in the pictures: asked, gone, waiting in the lobby, or to be added.
import { useState } from 'preact/hooks';
import type { Call, CallView, Member, MemberState } from '@sluice-calls/client';
import { CloseIcon, MicrophoneIcon } from '../../view/icons.tsx';
import { useWords, type Words } from '../../words/index.ts';
import type { CallSession } from '../call-session.ts';
import type { Product } from '../product.ts';
import { PeoplePicker } from './dialogs.tsx';
import { Avatar, Dialog } from './parts.tsx';

const STATES = {
  calling: 'memberCalling',
  ringing: 'memberRinging',
  connecting: 'memberConnecting',
  joined: 'memberJoined',
  reconnecting: 'memberReconnecting',
  left: 'memberLeft',
  declined: 'memberDeclined',
  busy: 'memberBusy',
  noAnswer: 'memberNoAnswer',
  cancelled: 'memberCancelled',
  cannotCall: 'memberCannotCall',
  failed: 'memberFailed',
  inLobby: 'memberInLobby',
} as const satisfies Record<MemberState, keyof Words>;

function stateText(member: Member, w: Words): string {
  return member.onHold ? w.memberOnHold : w[STATES[member.state] ?? 'memberLeft'];
}

interface AbsenteesProps {
  members: Member[];
  product: Product;
  session: CallSession;
}

/** Who was asked, in one line over the pictures. */
export function Absentees({ members, product, session }: AbsenteesProps) {
  const w = useWords();
  const shown = members.filter(({ state }) => state !== 'inLobby');
  if (shown.length === 0) return null;
  return (
    <ul class="absentees" aria-label={w.callMembers} aria-live="polite">
      {shown.map((member) => {
        const person = product.person(member.userId);
        const rings = member.state === 'calling' || member.state === 'ringing';
        return (
          <li key={member.userId} class={rings ? 'rings' : ''} data-testid={`absent-${member.userId}`} data-state={member.state}>
            <Avatar face={{ ...person, group: false }} size={26} />
            <span>
              {person.name} · {stateText(member, w)}
            </span>
            {rings && (
              <button
                type="button"
                class="icon-button"
                aria-label={`${w.cancelInvite}: ${person.name}`}
                title={w.cancelInvite}
                onClick={() => void product.attempt(async () => session.call?.cancelInvite(member.userId))}
              >
                <CloseIcon />
              </button>
            )}
          </li>
        );
      })}
    </ul>
  );
}

interface CallProps {
  call: Call;
  view: CallView;
  product: Product;
}

/** Whoever came through a link waits until a host says yes. */
export function LobbyGuests({ call, view, product }: CallProps) {
  const w = useWords();
  const guests = view.members.filter(({ state }) => state === 'inLobby');
  return (
    <>
      {guests.map(({ userId, handle }) => {
        const { name } = product.person(userId);
        const answer = (admit: boolean) => void product.attempt(() => call.admit(userId, admit));
        return (
          <div key={userId} class="banner stacked" role="alertdialog" aria-live="assertive" aria-label={w.lobbyAsk(name)} data-testid={`lobby-${userId}`}>
            <strong>{w.lobbyAsk(name === '…' ? handle : name)}</strong>
            <div class="buttons">
              <button type="button" class="secondary" data-testid="refuse" onClick={() => answer(false)}>
                {w.refuse}
              </button>
              <button type="button" class="primary small" data-testid="admit" onClick={() => answer(true)}>
                {w.admit}
              </button>
            </div>
          </div>
        );
      })}
    </>
  );
}

export function AddPeopleDialog({ call, view, product, onClose }: CallProps & { onClose(): void }) {
  const w = useWords();
  const [chosen, setChosen] = useState<string[]>([]);
  const there: MemberState[] = ['calling', 'ringing', 'connecting', 'joined', 'reconnecting', 'inLobby'];
  const without = view.members.filter(({ state }) => there.includes(state)).map(({ userId }) => userId);
  async function invite() {
    const done = await product.attempt(async () => {
      await call.invite(chosen);
      return true;
    });
    if (done) onClose();
  }
  return (
    <Dialog title={w.addToCall} onClose={onClose}>
      <PeoplePicker product={product} chosen={chosen} without={without} onChange={setChosen} />
      <button type="button" class="primary" data-testid="invite" disabled={chosen.length === 0} onClick={() => void invite()}>
        {w.invite}
      </button>
    </Dialog>
  );
}

interface MembersProps extends CallProps {
  onEndForAll(): void;
  onClose(): void;
}

export function CallMembersDialog({ call, view, product, onEndForAll, onClose }: MembersProps) {
  const w = useWords();
  return (
    <Dialog title={w.callMembers} testId="call-members-dialog" onClose={onClose}>
      <ul class="list">
        {view.members.map((member) => {
          const person = product.person(member.userId);
          const self = member.userId === product.me.id;
          const act = (what: Parameters<Call['moderate']>[1]) => void product.attempt(() => call.moderate(member.userId, what));
          return (
            <li key={member.userId} class="row">
              <Avatar face={{ ...person, group: false }} size={36} />
              <span class="row-text">
                <strong>{self ? w.nameYou(person.name) : person.name}</strong>
                <small>{stateText(member, w)}</small>
              </span>
              {view.host && !self && member.state === 'joined' && (
                <span class="buttons">
                  <button type="button" class="icon-button" aria-label={`${w.muteMember}: ${person.name}`} title={w.muteMember} onClick={() => act({ mute: true })}>
                    <MicrophoneIcon off />
                  </button>
                  {view.kind === 'group' && (
                    <button type="button" class="icon-button" aria-label={`${w.removeFromCall}: ${person.name}`} title={w.removeFromCall} onClick={() => act({ remove: true })}>
                      <CloseIcon />
                    </button>
                  )}
                </span>
              )}
            </li>
          );
        })}
      </ul>
      {view.host && view.kind === 'group' && (
        <button type="button" class="secondary danger" data-testid="end-for-all" onClick={onEndForAll}>
          {w.endForAll}
        </button>
      )}
    </Dialog>
  );
}
