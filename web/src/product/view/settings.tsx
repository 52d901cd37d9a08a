// Who may call me, how it looks, in which language, and on which devices.
import { useState } from 'preact/hooks';
import { loadPreferences, savePreferences } from '../../preferences.ts';
import { useStore } from '../../store.ts';
import { chooseTheme, type Theme } from '../../theme.ts';
import { DeviceDialog } from '../../view/device-dialog.tsx';
import { LANGUAGES, chooseLanguage, currentLanguage, useWords, type Language } from '../../words/index.ts';
import type { Product } from '../product.ts';
import type { Settings, WhoMayCall } from '../types.ts';
import { Avatar, BackButton } from './parts.tsx';

const WHO: WhoMayCall[] = ['everyone', 'followed', 'contacts', 'nobody'];
const PREFERENCE_OF = { audioinput: 'microphoneId', videoinput: 'cameraId', audiooutput: 'speakerId' } as const;

export function SettingsView({ product, onSignOut }: { product: Product; onSignOut(): void }) {
  const w = useWords();
  const settings = useStore(product.settings);
  const [devices, setDevices] = useState(false);
  const change = (part: Partial<Settings>) => settings && void product.saveSettings({ ...settings, ...part });
  return (
    <section class="settings" aria-label={w.settings} data-testid="settings">
      <header class="pane-head">
        <BackButton />
        <h1>{w.settings}</h1>
      </header>
      <div class="settings-body">
        <div class="card account">
          <Avatar face={{ ...product.me, group: false }} size={56} />
          <span class="row-text">
            <strong>{product.me.name}</strong>
            <small>{product.me.handle}</small>
            <small>
              {w.thisDevice}: <code data-testid="device-id">{product.deviceId}</code>
            </small>
          </span>
          <button type="button" class="secondary" data-testid="sign-out" onClick={onSignOut}>
            {w.signOut}
          </button>
        </div>
        <fieldset class="card choices" disabled={!settings}>
          <legend>{w.whoMayCall}</legend>
          {WHO.map((who) => (
            <label key={who} class="choice">
              <input
                type="radio"
                name="who-may-call"
                data-testid={`who-${who}`}
                checked={settings?.whoMayCall === who}
                onChange={() => change({ whoMayCall: who })}
              />
              {w[who]}
            </label>
          ))}
        </fieldset>
        <fieldset class="card choices" disabled={!settings}>
          <Switch
            label={w.silenceUnknown}
            hint={w.silenceUnknownHint}
            testId="silence-unknown"
            on={settings?.silenceUnknown ?? false}
            onChange={(silenceUnknown) => change({ silenceUnknown })}
          />
          <Switch
            label={w.callWaiting}
            hint={w.callWaitingHint}
            testId="call-waiting"
            on={settings?.callWaiting ?? true}
            onChange={(callWaiting) => change({ callWaiting })}
          />
          <Switch
            label={w.hideBusy}
            hint={w.hideBusyHint}
            testId="hide-busy"
            on={settings?.hideBusy ?? false}
            onChange={(hideBusy) => change({ hideBusy })}
          />
        </fieldset>
        <DeviceSettings onDevices={() => setDevices(true)} />
      </div>
      {devices && (
        <DeviceDialog
          active={(kind) => loadPreferences()[PREFERENCE_OF[kind]]}
          onUse={(kind, id) => savePreferences({ [PREFERENCE_OF[kind]]: id })}
          onClose={() => setDevices(false)}
        />
      )}
    </section>
  );
}

/** What stays on this device, and is nobody else's business. */
function DeviceSettings({ onDevices }: { onDevices(): void }) {
  const w = useWords();
  const [{ theme, ringSound }, setPreferences] = useState(loadPreferences);
  return (
    <div class="card stack">
      <label class="field">
        <span>{w.language}</span>
        <select value={currentLanguage()} data-testid="language" onChange={(event) => chooseLanguage(event.currentTarget.value as Language)}>
          {LANGUAGES.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label class="field">
        <span>{w.theme}</span>
        <select
          value={theme}
          data-testid="theme"
          onChange={(event) => {
            chooseTheme(event.currentTarget.value as Theme);
            setPreferences(loadPreferences());
          }}
        >
          <option value="system">{w.themeSystem}</option>
          <option value="light">{w.themeLight}</option>
          <option value="dark">{w.themeDark}</option>
        </select>
      </label>
      <Switch
        label={w.ringSound}
        testId="ring-sound"
        on={ringSound}
        onChange={(on) => {
          savePreferences({ ringSound: on });
          setPreferences(loadPreferences());
        }}
      />
      <button type="button" class="secondary" onClick={onDevices}>
        {w.devices}
      </button>
    </div>
  );
}

interface SwitchProps {
  label: string;
  hint?: string;
  testId: string;
  on: boolean;
  onChange(on: boolean): void;
}

function Switch({ label, hint, testId, on, onChange }: SwitchProps) {
  return (
    <label class="choice switch">
      <span class="row-text">
        <span>{label}</span>
        {hint && <small>{hint}</small>}
      </span>
      <input
        type="checkbox"
        role="switch"
        data-testid={testId}
        checked={on}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
    </label>
  );
}
