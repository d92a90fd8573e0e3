// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /v1/events, read with fetch(): EventSource cannot send a token.
 *
 * A lost connection is tried again with a growing pause and Last-Event-ID, so
 * the daemon replays what was missed; where it no longer has that, it sends
 * `reset` and the page loads everything anew. Silence for SILENCE_MS (the
 * daemon sends a comment every 5 s) is a lost connection too.
 *
 * Bounds: LINE_MAX characters of one line, after which the connection is
 * given up: nothing that the daemon says is so long.
 */
import {signal} from '@preact/signals';
import {headers_of, token_wanted} from './api.ts';

const SILENCE_MS = 12_000;
const PAUSE_MIN_MS = 500;
const PAUSE_MAX_MS = 5_000;
const LINE_MAX = 8 << 20;

export type Link =
	| {state: 'connecting'; since: number}
	| {state: 'live'; since: number}
	| {state: 'lost'; since: number; why: string};

export interface ServerEvent {
	id: string;
	event: string;
	data: unknown;
}

/** How the connection is; `since` in ms of Date.now(). */
export const link = signal<Link>({state: 'connecting', since: Date.now()});

/**
 * parser() - text in, events out, however the text is cut (WHATWG HTML, 9.2.6).
 * @tell: called for each whole event whose data is JSON; others are left out.
 */
export function parser(tell: (e: ServerEvent) => void): (chunk: string) => void {
	let rest = '';
	let id = '';
	let event = '';
	let data: string[] = [];

	const dispatch = () => {
		if (data.length) {
			let parsed: unknown;
			try {
				parsed = JSON.parse(data.join('\n'));
				tell({id, event: event || 'message', data: parsed});
			} catch (err) {
				if (!(err instanceof SyntaxError))
					throw err;
			}
		}
		event = '';
		data = [];
	};
	const line = (text: string) => {
		if (text === '')
			return dispatch();
		const colon = text.indexOf(':');
		const field = colon < 0 ? text : text.slice(0, colon);
		const value = colon < 0 ? '' : text.slice(colon + 1).replace(/^ /, '');
		if (field === 'id')
			id = value;
		else if (field === 'event')
			event = value;
		else if (field === 'data')
			data.push(value);
	};
	return (chunk) => {
		rest += chunk;
		const lines = rest.split(/\r\n|\n|\r(?!$)/);
		rest = lines.pop() ?? '';
		if (rest.length > LINE_MAX)
			throw new Error('a line that never ends');
		lines.forEach(line);
	};
}

interface Listener {
	event: (e: ServerEvent) => void;
	/** The connection came back, or is there for the first time: load what events do not carry. */
	connected: () => void;
}

async function read(on: Listener, last: {id: string}, abort: AbortController): Promise<void> {
	let watch = 0;
	const alive = () => {
		clearTimeout(watch);
		watch = setTimeout(() => abort.abort(new Error('no word from the daemon')), SILENCE_MS);
	};
	alive();
	try {
		const headers = headers_of({Accept: 'text/event-stream'});
		if (last.id)
			headers['Last-Event-ID'] = last.id;
		const res = await fetch('/v1/events', {headers, cache: 'no-store', signal: abort.signal});
		if (res.status === 401)
			token_wanted.value ||= 'a bearer token is needed';
		if (!res.ok || !res.body)
			throw new Error(`status ${res.status}`);
		link.value = {state: 'live', since: Date.now()};
		on.connected();
		const feed = parser((e) => {
			if (e.id)
				last.id = e.id;
			on.event(e);
		});
		const text = new TextDecoder();
		const reader = res.body.getReader();
		for (;;) {
			const {done, value} = await reader.read();
			if (done)
				throw new Error('the daemon ended the connection');
			alive();
			feed(text.decode(value, {stream: true}));
		}
	} finally {
		clearTimeout(watch);
		/* Also ends the body of a stream that was given up. */
		abort.abort();
	}
}

function sentence(err: unknown): string {
	return err instanceof Error && err.message ? err.message : 'the daemon does not answer';
}

/** listen() - follow the events for as long as the page lives. Answers how to stop. */
export function listen(on: Listener): () => void {
	const last = {id: ''};
	let stopped = false;
	let abort = new AbortController();
	let wake: (() => void) | undefined;

	const pause = (ms: number) =>
		new Promise<void>((done) => {
			const timer = setTimeout(done, ms);
			wake = () => {
				clearTimeout(timer);
				done();
			};
		});
	const run = async () => {
		let wait = PAUSE_MIN_MS;
		while (!stopped) {
			abort = new AbortController();
			const started = Date.now();
			try {
				await read(on, last, abort);
			} catch (err) {
				if (link.value.state !== 'lost')
					link.value = {state: 'lost', since: Date.now(), why: sentence(err)};
			}
			wait = Date.now() - started > 2 * PAUSE_MAX_MS ? PAUSE_MIN_MS : Math.min(wait * 2, PAUSE_MAX_MS);
			if (!stopped)
				await pause(wait);
		}
	};
	const online = () => wake?.();
	addEventListener('online', online);
	void run();
	return () => {
		stopped = true;
		removeEventListener('online', online);
		abort.abort();
		wake?.();
	};
}
