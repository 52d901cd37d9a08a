// Light or dark: chosen in the settings, else the system's. The style sheets read `data-theme`.
import { loadPreferences, savePreferences, type Preferences } from './preferences.ts';

export type Theme = Preferences['theme'];

export function showTheme(theme: Theme = loadPreferences().theme): void {
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
}

export function chooseTheme(theme: Theme): void {
  savePreferences({ theme });
  showTheme(theme);
}
