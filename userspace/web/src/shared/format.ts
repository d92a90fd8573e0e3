// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Numbers for people: every one with its unit, three significant digits, and
 * '–' for what is not known (never 0). Times are the viewer's own.
 */

export const UNKNOWN = '–';
const NARROW = '\u202f'; /* between number and unit: neither breaks nor gapes */

type Maybe = number | null | undefined;

const known = (v: Maybe): v is number => typeof v === 'number' && Number.isFinite(v);

/** digits() - three significant ones: 0.123, 1.23, 12.3, 123, 1234. */
export function digits(v: number): string {
	const size = Math.abs(v);
	if (size === 0)
		return '0';
	if (size < 0.001)
		return v > 0 ? '<0.001' : v.toFixed(3);
	return v.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3).replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '');
}

function unit(v: Maybe, name: string): string {
	return known(v) ? digits(v) + NARROW + name : UNKNOWN;
}

/** rate() - requests a second; thousands as k. */
export function rate(v: Maybe): string {
	return known(v) && v >= 10_000 ? unit(v / 1000, 'k/s') : unit(v, '/s');
}

/** ms() - milliseconds, as µs, ms, s or min, whichever reads best. */
export function ms(v: Maybe): string {
	if (!known(v))
		return UNKNOWN;
	if (v === 0)
		return `0${NARROW}ms`;
	if (v < 0.1)
		return unit(v * 1000, 'µs');
	if (v < 1000)
		return unit(v, 'ms');
	return v < 120_000 ? unit(v / 1000, 's') : unit(v / 60_000, 'min');
}

/** percent() - of a ratio from 0 to 1. */
export const percent = (v: Maybe) => unit(known(v) ? v * 100 : v, '%');
/** cores() - CPU time, 100 % being one core. */
export const cores = percent;
export const plain = (v: Maybe) => (known(v) ? digits(v) : UNKNOWN);

export function count(v: Maybe): string {
	return known(v) ? Math.round(v).toLocaleString('en-US').replaceAll(',', NARROW) : UNKNOWN;
}

/** span() - seconds as people say them: 6 s, 1 min 05 s, 2 h 03 min. */
export function span(s: Maybe): string {
	if (!known(s))
		return UNKNOWN;
	const whole = Math.max(0, Math.round(s));
	const two = (n: number) => String(n).padStart(2, '0');
	if (whole < 60)
		return `${whole}${NARROW}s`;
	/* The larger unit, and the smaller one where it is not nothing. */
	const pair = (a: number, large: string, b: number, small: string) =>
		`${a}${NARROW}${large}${b ? `${NARROW}${two(b)}${NARROW}${small}` : ''}`;
	if (whole < 3600)
		return pair(Math.floor(whole / 60), 'min', whole % 60, 's');
	if (whole < 86_400)
		return pair(Math.floor(whole / 3600), 'h', Math.floor((whole % 3600) / 60), 'min');
	return pair(Math.floor(whole / 86_400), 'd', Math.floor((whole % 86_400) / 3600), 'h');
}

/** seconds() - with tenths, for what happened after an onset. */
export const seconds = (v: Maybe) => unit(known(v) ? Math.round(v * 10) / 10 : v, 's');

const two = (n: number) => String(n).padStart(2, '0');

/** clock() - HH:MM:SS of ms since 1970; with the date where it is not today. */
export function clock(at: number, now = Date.now()): string {
	const d = new Date(at);
	if (Number.isNaN(d.getTime()))
		return UNKNOWN;
	const time = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
	return d.toDateString() === new Date(now).toDateString() ? time : `${day(d)} ${time}`;
}

export const day = (d: Date) => `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;

/** when() - an RFC 3339 time for people. */
export const when = (text: string | null | undefined) => (text ? clock(Date.parse(text)) : UNKNOWN);

/** instant() - seconds since 1970 of an RFC 3339 time; NaN for none. */
export const instant = (text: string | null | undefined) => (text ? Date.parse(text) / 1000 : NaN);
