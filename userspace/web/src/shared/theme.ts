// SPDX-License-Identifier: GPL-2.0-or-later
/* Light, dark, or as the system has it (the default); remembered in this browser only. */
import {effect, signal} from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'archaic-theme';

function stored(): Theme {
	try {
		const value = localStorage.getItem(KEY);
		return value === 'light' || value === 'dark' ? value : 'system';
	} catch {
		return 'system';
	}
}

export const theme = signal<Theme>(stored());
const system_dark = matchMedia('(prefers-color-scheme: dark)');
/** What it comes to; charts draw with it. */
export const dark = signal(false);

function settle(): void {
	dark.value = theme.value === 'system' ? system_dark.matches : theme.value === 'dark';
	document.documentElement.dataset['theme'] = dark.value ? 'dark' : 'light';
}

export function start_theme(): void {
	system_dark.addEventListener('change', settle);
	effect(settle);
}

export function turn_theme(): void {
	theme.value = dark.peek() ? 'light' : 'dark';
	try {
		localStorage.setItem(KEY, theme.value);
	} catch {
		/* Not remembered then. */
	}
}

/** colour() - a custom property's value, for canvases. */
export function colour(name: string): string {
	return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
