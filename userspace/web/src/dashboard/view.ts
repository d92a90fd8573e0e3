// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is looked at: page, service, incident, range, order, filter. All of it
 * is in the address (in the fragment, which no server sees), so that a link
 * brings back the view; going to another page, service or incident is a step
 * for the back button, a change of range is not.
 */
import {batch, computed, effect, signal} from '@preact/signals';

export type Page = 'overview' | 'incidents';

export const page = signal<Page>('overview');
export const service = signal('');
export const incident = signal('');
/** Seconds that the charts span. */
export const span_s = signal(300);
/** Their right end in seconds since 1970; 0 is now, and moves. */
export const to_s = signal(0);
export const sort = signal('-rate');
export const filter = signal('');
export const live = computed(() => to_s.value === 0);

export const SPANS = [
	{s: 300, name: '5 m', words: '5 minutes'},
	{s: 900, name: '15 m', words: '15 minutes'},
	{s: 3600, name: '1 h', words: '1 hour'},
	{s: 86_400, name: '24 h', words: '24 hours'},
] as const;
const SPAN_MIN = 15;
const SPAN_MAX = 7 * 86_400;
const NAME_MAX = 256;

function number_in(text: string | null, min: number, max: number, otherwise: number): number {
	const n = Number(text);
	return text !== null && Number.isFinite(n) && n >= min && n <= max ? n : otherwise;
}

function parse(): void {
	const q = new URLSearchParams(location.hash.slice(1));
	const word = (name: string) => (q.get(name) ?? '').slice(0, NAME_MAX);
	batch(() => {
		page.value = q.get('page') === 'incidents' ? 'incidents' : 'overview';
		service.value = word('service');
		incident.value = word('incident');
		span_s.value = number_in(q.get('span'), SPAN_MIN, SPAN_MAX, 300);
		to_s.value = number_in(q.get('to'), 1, 1e11, 0);
		sort.value = word('sort') || '-rate';
		filter.value = word('filter');
	});
}

function address(): string {
	const q = new URLSearchParams();
	const put = (name: string, value: string | number, usual: string | number) => {
		if (value !== usual)
			q.set(name, String(value));
	};
	put('page', page.value, 'overview');
	put('service', service.value, '');
	put('incident', incident.value, '');
	put('span', Math.round(span_s.value * 10) / 10, 300);
	put('to', Math.round(to_s.value * 10) / 10, 0);
	put('sort', sort.value, '-rate');
	put('filter', filter.value, '');
	return `${location.pathname}${location.search}${q.size ? `#${q}` : ''}`;
}

/** follow_address() - from here on the address and the view are one. */
export function follow_address(): void {
	parse();
	addEventListener('popstate', parse);
	addEventListener('hashchange', parse);
	effect(() => {
		const next = address();
		if (next !== location.pathname + location.search + location.hash)
			history.replaceState(null, '', next);
	});
}

function step(change: () => void): void {
	history.pushState(null, '', location.href);
	batch(change);
}

export function show_service(name: string): void {
	if (name === service.peek() && page.peek() === 'overview')
		return;
	step(() => {
		page.value = 'overview';
		service.value = name;
	});
}

export function show_page(which: Page): void {
	if (which !== page.peek())
		step(() => {
			page.value = which;
		});
}

export function show_incident(id: string): void {
	step(() => {
		page.value = 'incidents';
		incident.value = id;
	});
}

const end = () => to_s.peek() || Date.now() / 1000;

/** set_range() - from and to in seconds since 1970; what ends in the future is live. */
export function set_range(from: number, to: number): void {
	const span = Math.min(SPAN_MAX, Math.max(SPAN_MIN, to - from));
	batch(() => {
		span_s.value = span;
		to_s.value = to >= Date.now() / 1000 - 1 ? 0 : to;
	});
}

/** zoom() - about the middle, or about the right end while that is now. */
export function zoom(factor: number): void {
	const to = end();
	const span = Math.min(SPAN_MAX, Math.max(SPAN_MIN, span_s.peek() * factor));
	const middle = to - span_s.peek() / 2;
	if (to_s.peek() === 0)
		span_s.value = span;
	else
		set_range(middle - span / 2, middle + span / 2);
}

/** pan() - by a share of the span; to the left is into the past. */
export function pan(share: number): void {
	const to = end() + share * span_s.peek();
	set_range(to - span_s.peek(), to);
}

export function go_live(): void {
	to_s.value = 0;
}

export function toggle_sort(key: string): void {
	sort.value = sort.peek() === `-${key}` ? key : `-${key}`;
}
