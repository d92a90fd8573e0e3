// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The fault that is being put together, and what the daemon says it would do.
 *
 * Parameters are those that /v1/faults/types gives, with its limits; where a
 * type has a parameter of its own, that one is offered and `intensity` is left
 * to those who ask. Each change is tried by a dry run; only what the newest dry
 * run agreed to can be armed.
 */
import {batch, computed, effect, signal} from '@preact/signals';
import {post} from '../shared/api.ts';
import {link} from '../shared/events.ts';
import type {Fault, FaultParam, FaultType} from '../shared/types.ts';
import {act, put_fault, read_only, services, types} from './store.ts';

const SETTLE_MS = 200;

/* Where to begin; the daemon's limits win. */
const FIRST: Readonly<Record<string, number>> = {delay_ms: 2000, status: 503, percent: 40, intensity: 1};
/* For those who ask: left out unless given. */
const RARE = ['seed'];

export const service = signal('');
export const type = signal('');
/** As typed; '' is not given. */
export const params = signal<Readonly<Record<string, string>>>({});
export const share = signal(100);
export const duration_s = signal('60');
export const probes_too = signal(false);

export const chosen = computed<FaultType | undefined>(() => types.value.find((t) => t.type === type.value));

export type Verdict =
	| {state: 'none'; says: string}
	| {state: 'asking'}
	| {state: 'ok'; fault: Fault}
	| {state: 'refused'; says: string; parameter: string};
export const verdict = signal<Verdict>({state: 'none', says: ''});

/** why_not() - why a type cannot be armed here; '' where it can. */
export function why_not(t: FaultType): string {
	if (!t.allowed)
		return 'switched off in the configuration';
	if (t.backend !== null)
		return '';
	return t.backends.find((b) => b.why)?.why ?? 'this kernel has nothing that can do it';
}

/** main_params() - what stands in the form at once; the others are under "more". */
export function main_params(t: FaultType): FaultParam[] {
	const own = t.params.filter((p) => p.name !== 'intensity' && !RARE.includes(p.name));
	return own.length ? own : [];
}

export function rare_params(t: FaultType): FaultParam[] {
	const main = main_params(t);
	return t.params.filter((p) => !main.includes(p));
}

function first_value(p: FaultParam): string {
	if (p.kind === 'names')
		return '';
	const wish = FIRST[p.name] ?? p.min ?? 1;
	return String(Math.min(p.max ?? wish, Math.max(p.min ?? wish, wish)));
}

export function choose_type(name: string): void {
	const t = types.peek().find((x) => x.type === name);
	batch(() => {
		type.value = name;
		params.value = t ? Object.fromEntries(main_params(t).map((p) => [p.name, first_value(p)])) : {};
	});
}

export function set_param(name: string, value: string): void {
	const next = {...params.peek(), [name]: value};
	/* One or the other: the daemon refuses both. */
	const t = chosen.peek();
	if (t && value !== '') {
		const main = main_params(t).map((p) => p.name);
		if (name === 'intensity')
			main.forEach((m) => delete next[m]);
		else if (main.includes(name))
			delete next['intensity'];
	}
	params.value = next;
}

function body(): Record<string, unknown> | null {
	const t = chosen.value;
	if (!service.value || !t)
		return null;
	const given: Record<string, unknown> = {};
	for (const p of t.params) {
		const text = (params.value[p.name] ?? '').trim();
		if (text === '')
			continue;
		given[p.name] = p.kind === 'names' ? text.split(/[\s,]+/).filter(Boolean) : Number(text);
	}
	return {
		service: service.value,
		type: t.type,
		params: given,
		probability: share.value / 100,
		duration_s: Number(duration_s.value),
		...(probes_too.value ? {match: {health: true}} : {}),
	};
}

function bad_number(): string {
	const t = chosen.value;
	for (const p of t?.params ?? [])
		if (p.kind !== 'names' && !Number.isFinite(Number(params.value[p.name] ?? '0')))
			return `${p.name} must be a number`;
	return duration_s.value.trim() === '' || !Number.isFinite(Number(duration_s.value)) ? 'How long? Give a number of seconds.' : '';
}

/** What the newest dry run was of: an older answer is dropped. */
let turn = 0;

async function dry_run(b: Record<string, unknown>): Promise<void> {
	const mine = ++turn;
	const a = await post<Fault>('/v1/faults?dry_run=true', b);
	if (mine !== turn)
		return;
	if (a.ok) {
		read_only.value = '';
		verdict.value = {state: 'ok', fault: a.data};
		return;
	}
	if (a.status === 403)
		read_only.value = a.says;
	verdict.value = {state: 'refused', says: a.says, parameter: a.problem?.parameter ?? ''};
}

export function start_draft(): void {
	/* A service that is gone is not to be hurt; the first one is offered. */
	effect(() => {
		const names = services.value.map((s) => s.name);
		if (service.value && names.includes(service.value))
			return;
		service.value = [...names].sort()[0] ?? '';
	});
	effect(() => {
		if (!chosen.value && types.value.length)
			choose_type((types.value.find((t) => !why_not(t)) ?? types.value[0])?.type ?? '');
	});
	let timer = 0;
	let last = '';
	effect(() => {
		const b = body();
		const bad = bad_number();
		const text = JSON.stringify([b, bad, link.value.state === 'live']);
		if (text === last)
			return;
		last = text;
		turn++;
		clearTimeout(timer);
		if (!b || link.value.state !== 'live') {
			verdict.value = {state: 'none', says: b ? 'No connection.' : 'Choose a service and a fault.'};
			return;
		}
		if (bad) {
			verdict.value = {state: 'refused', says: bad, parameter: ''};
			return;
		}
		verdict.value = {state: 'asking'};
		timer = setTimeout(() => void dry_run(b), SETTLE_MS);
	});
}

/** arm() - what the dry run agreed to. */
export async function arm(): Promise<void> {
	const b = body();
	const v = verdict.peek();
	if (!b || v.state !== 'ok')
		return;
	const a = await act(`arm ${v.fault.type} on ${v.fault.service}`, () => post<Fault>('/v1/faults', b), (f) => `Armed as ${f.id}: ${f.says}`);
	if (a.ok)
		put_fault(a.data);
}

/** preset() - fill the form; arming stays a person's hold. */
export function preset(p: {service: string; type: string; params: Record<string, string>; share: number; duration_s: number}): void {
	batch(() => {
		service.value = p.service;
		choose_type(p.type);
		const known = types.peek().find((t) => t.type === p.type)?.params.map((x) => x.name) ?? [];
		const given = Object.fromEntries(Object.entries(p.params).filter(([k]) => known.includes(k)));
		params.value = {...params.peek(), ...given};
		share.value = p.share;
		duration_s.value = String(p.duration_s);
		probes_too.value = false;
	});
}
