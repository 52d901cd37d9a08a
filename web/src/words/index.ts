// The page's language: chosen in the settings, else the browser's. And times and lengths in that language.
import { loadPreferences, savePreferences } from '../preferences.ts';
import { Store, useStore } from '../store.ts';
import { en, type Words } from './en.ts';
import { hi } from './hi.ts';

export type { Words };
export type Language = 'en' | 'hi';

export const LANGUAGES: { id: Language; name: string }[] = [
  { id: 'en', name: 'English' },
  { id: 'hi', name: 'हिन्दी' },
];

const CATALOGUES: Record<Language, Words> = { en, hi };

const language = new Store<Language>(initialLanguage());
showLanguage(language.get());

function initialLanguage(): Language {
  const chosen = loadPreferences().language;
  const wanted = [chosen, ...(globalThis.navigator?.languages ?? [])];
  for (const tag of wanted) {
    const found = LANGUAGES.find(({ id }) => tag === id || tag.startsWith(`${id}-`));
    if (found) return found.id;
  }
  return 'en';
}

function showLanguage(id: Language): void {
  if (typeof document !== 'undefined') document.documentElement.lang = id;
}

export function currentLanguage(): Language {
  return language.get();
}

export function chooseLanguage(id: Language): void {
  savePreferences({ language: id });
  showLanguage(id);
  language.set(id);
}

/** For whatever is no view. */
export function words(): Words {
  return CATALOGUES[language.get()];
}

/** For views: they are drawn again when the language changes. */
export function useWords(): Words {
  return CATALOGUES[useStore(language)];
}

/** "14:05". */
export function clockTime(atMs: number): string {
  return new Intl.DateTimeFormat(language.get(), { hour: 'numeric', minute: '2-digit' }).format(atMs);
}

/** "Today", "Yesterday", "Mon, 3 Mar". */
export function dayName(atMs: number, nowMs: number = Date.now()): string {
  const days = Math.round((startOfDay(atMs) - startOfDay(nowMs)) / 86_400_000);
  if (days === 0 || days === -1) {
    const text = new Intl.RelativeTimeFormat(language.get(), { numeric: 'auto' }).format(days, 'day');
    return text.charAt(0).toLocaleUpperCase(language.get()) + text.slice(1);
  }
  return new Intl.DateTimeFormat(language.get(), { weekday: 'short', day: 'numeric', month: 'short' }).format(atMs);
}

/** For lists: the time of day while it is today, else the day. */
export function shortTime(atMs: number, nowMs: number = Date.now()): string {
  if (startOfDay(atMs) === startOfDay(nowMs)) return clockTime(atMs);
  return new Intl.DateTimeFormat(language.get(), { day: 'numeric', month: 'short' }).format(atMs);
}

/** "4 min 12 sec"; "1 hr 3 min" once seconds say nothing any more. */
export function spokenDuration(durationMs: number): string {
  const total = Math.max(0, Math.round(durationMs / 1_000));
  const hours = Math.floor(total / 3_600);
  const minutes = Math.floor(total / 60) % 60;
  const seconds = total % 60;
  const part = (value: number, unit: 'hour' | 'minute' | 'second') =>
    new Intl.NumberFormat(language.get(), { style: 'unit', unit, unitDisplay: 'short' }).format(value);
  if (hours > 0) return minutes > 0 ? `${part(hours, 'hour')} ${part(minutes, 'minute')}` : part(hours, 'hour');
  if (minutes > 0) return seconds > 0 ? `${part(minutes, 'minute')} ${part(seconds, 'second')}` : part(minutes, 'minute');
  return part(seconds, 'second');
}

/** "12:05", "1:02:05". */
export function clockDuration(durationMs: number): string {
  const total = Math.max(0, Math.floor(durationMs / 1_000));
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(total / 3_600);
  const minutes = Math.floor(total / 60) % 60;
  return `${hours > 0 ? `${hours}:${two(minutes)}` : minutes}:${two(total % 60)}`;
}

function startOfDay(atMs: number): number {
  return new Date(atMs).setHours(0, 0, 0, 0);
}
