// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The one way to /v1: fetch with a time-out, the bearer token, and problem
 * documents (RFC 9457) as values. Nothing here throws: a call answers either
 * the object or a sentence that says why not.
 *
 * What comes back is data from strangers. It is typed as the OpenAPI file has
 * it, and shown as text only.
 */
import {signal} from '@preact/signals';
import type {components} from './schema.gen.ts';

export type Schemas = components['schemas'];
export type Problem = Schemas['Problem'];

export type Answer<T> =
	| {ok: true; status: number; data: T}
	| {ok: false; status: number; says: string; problem?: Problem};

const TIMEOUT_MS = 10_000;
const TOKEN_KEY = 'archaic-token';

/** 401 or 403 came back for want of a token: the page asks for one. */
export const token_wanted = signal<string>('');

/* A browser that forbids storage still works until the page is closed. */
let token = '';

/**
 * take_token() - read `#token=…` (the QR code's address) and take it out of the address at once,
 * so that it does not end in a bookmark or a screenshot.
 */
export function take_token(): void {
	try {
		token = sessionStorage.getItem(TOKEN_KEY) ?? '';
	} catch {
		/* Storage is forbidden: the token lives as long as the page. */
	}
	const fragment = new URLSearchParams(location.hash.slice(1));
	const given = fragment.get('token');
	if (given === null)
		return;
	fragment.delete('token');
	history.replaceState(null, '', location.pathname + (fragment.size ? `#${fragment}` : ''));
	set_token(given);
}

export function set_token(given: string): void {
	token = given.trim();
	token_wanted.value = '';
	try {
		sessionStorage.setItem(TOKEN_KEY, token);
	} catch {
		/* As above. */
	}
}

export function headers_of(extra: Record<string, string> = {}): Record<string, string> {
	return token ? {Authorization: `Bearer ${token}`, ...extra} : extra;
}

/** refused() - the sentence of a status and of the problem document that came with it. */
function refused(status: number, problem: Problem | undefined): string {
	const detail = problem?.detail ?? problem?.title;
	if (detail)
		return detail;
	return status === 0 ? 'The daemon does not answer.' : `The daemon answered with status ${status}.`;
}

async function parse(res: Response): Promise<unknown> {
	const type = res.headers.get('Content-Type') ?? '';
	const text = await res.text();
	if (!type.includes('json'))
		return text;
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

async function call<T>(method: string, path: string, body?: unknown): Promise<Answer<T>> {
	const headers = headers_of({Accept: 'application/json, application/problem+json, text/markdown'});
	if (method !== 'GET')
		headers['X-Archaic-Request'] = '1';
	if (body !== undefined)
		headers['Content-Type'] = 'application/json';
	let res: Response;
	let data: unknown;
	try {
		res = await fetch(path, {
			method,
			headers,
			cache: 'no-store',
			redirect: 'error',
			signal: AbortSignal.timeout(TIMEOUT_MS),
			...(body === undefined ? {} : {body: JSON.stringify(body)}),
		});
		data = await parse(res);
	} catch (err) {
		const late = err instanceof DOMException && err.name === 'TimeoutError';
		const says = late ? `No answer for ${TIMEOUT_MS / 1000} s.` : refused(0, undefined);
		return {ok: false, status: 0, says};
	}
	if (res.ok && data !== undefined)
		return {ok: true, status: res.status, data: data as T};
	const problem = typeof data === 'object' && data !== null ? (data as Problem) : undefined;
	const says = refused(res.ok ? 0 : res.status, problem);
	if (res.status === 401)
		token_wanted.value = says;
	return {ok: false, status: res.status, says, ...(problem ? {problem} : {})};
}

export const get = <T>(path: string) => call<T>('GET', path);
export const post = <T>(path: string, body: unknown = {}) => call<T>('POST', path, body);
export const remove = <T>(path: string) => call<T>('DELETE', path);

/** query() - "?a=b&c=d" of what is given; '' where nothing is. */
export function query(params: Record<string, string | number | boolean | undefined>): string {
	const q = new URLSearchParams();
	for (const [name, value] of Object.entries(params))
		if (value !== undefined && value !== '')
			q.set(name, String(value));
	return q.size ? `?${q}` : '';
}
