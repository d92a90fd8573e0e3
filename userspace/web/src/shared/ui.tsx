// SPDX-License-Identifier: GPL-2.0-or-later
/* Small parts that both pages have: the connection, the theme, the token, a clock. */
import {signal} from '@preact/signals';
import type {ComponentChildren} from 'preact';
import {set_token, token_wanted} from './api.ts';
import {link} from './events.ts';
import {clock, span} from './format.ts';
import {Says} from './text.tsx';
import {dark, turn_theme} from './theme.ts';

/** Now, in ms, told once a second: whatever counts up or down reads it. */
export const now = signal(Date.now());

export function start_clock(): void {
	setInterval(() => {
		now.value = Date.now();
	}, 1000);
}

/** The connection in a word. */
export function LinkState() {
	const {state, since} = link.value;
	const text =
		state === 'live'
			? 'live'
			: token_wanted.value
				? 'a token is needed'
				: state === 'connecting'
					? 'connecting…'
					: `lost since ${clock(since)}`;
	return (
		<span class="tag" role="status" data-link={state}>
			<span class={`dot ${state}`} aria-hidden="true" /> {text}
		</span>
	);
}

/** What a lost connection means; nothing while there is one. */
export function LostNote() {
	const l = link.value;
	if (l.state !== 'lost' || token_wanted.value)
		return null;
	return (
		<div class="note failing" role="alert">
			<strong>No connection since {clock(l.since)}.</strong> What you see is {span((now.value - l.since) / 1000)} old
			and may be wrong; this page tries again by itself. Is the daemon running?{' '}
			<span class="soft">
				(<Says of={l.why} most={120} />)
			</span>
		</div>
	);
}

export function ThemeButton() {
	const word = dark.value ? 'Light' : 'Dark';
	return (
		<button type="button" class="plain" onClick={turn_theme} aria-label={`${word} colours`} title={`${word} colours`}>
			{dark.value ? '☀' : '☾'}
		</button>
	);
}

/** Asks for the token; nothing while none is wanted. */
export function TokenForm() {
	if (!token_wanted.value)
		return null;
	const submit = (e: SubmitEvent) => {
		e.preventDefault();
		const field = (e.currentTarget as HTMLFormElement).elements.namedItem('token');
		if (!(field instanceof HTMLInputElement) || !field.value.trim())
			return;
		set_token(field.value);
		location.reload();
	};
	return (
		<form class="panel token" onSubmit={submit}>
			<h2>A token is needed</h2>
			<p>
				The daemon says: <Says of={token_wanted.value} most={160} />. The terminal where it was started shows the token, also as a
				QR code.
			</p>
			<div class="row">
				<label class="grow">
					<span class="sr">Token</span>
					<input name="token" type="password" autocomplete="off" spellcheck={false} required />
				</label>
				<button type="submit">Use it</button>
			</div>
		</form>
	);
}

/** A state of nothing to show: a sentence, and a way on. */
export function Empty({title, children}: {title: string; children?: ComponentChildren}) {
	return (
		<div class="empty">
			<h2>{title}</h2>
			{children}
		</div>
	);
}
