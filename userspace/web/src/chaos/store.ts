// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What can be hurt, what is hurt, and what was done: as the daemon says it.
 * Nothing here is assumed to have happened before an answer or an event says so.
 *
 * Bounds: SPARK_POINTS values a service, FAULTS_MAX faults, LOADS_MAX loads,
 * LOG_MAX lines of this page's own log.
 */
import {batch, computed, signal} from '@preact/signals';
import {get, type Answer} from '../shared/api.ts';
import {listen, type ServerEvent} from '../shared/events.ts';
import type {AuditEntry, Fault, FaultType, List, Load, LoadShapes, Sample, Service} from '../shared/types.ts';

const SPARK_POINTS = 60;
const FAULTS_MAX = 100;
const LOADS_MAX = 20;
const LOG_MAX = 100;
const AUDIT_LIMIT = 50;
/* The counts of an armed fault rise with every request; events tell only its beginning and end. */
const COUNTS_MS = 1500;

export const loaded = signal(false);
export const trouble = signal('');
export const services = signal<Service[]>([]);
export const types = signal<FaultType[]>([]);
export const faults = signal<Fault[]>([]);
export const loads = signal<Load[]>([]);
export const shapes = signal<LoadShapes | null>(null);
export const audit = signal<AuditEntry[]>([]);
export const sparks = signal<ReadonlyMap<string, readonly (number | null)[]>>(new Map());
/** The daemon refuses every change, in its own words; '' where it does not. */
export const read_only = signal('');

export const armed = computed(() => faults.value.filter((f) => f.state === 'armed'));
export const ended = computed(() => faults.value.filter((f) => f.state !== 'armed'));
export const running = computed(() => loads.value.find((l) => l.state === 'running'));

export interface LogLine {
	nr: number;
	at: number;
	what: string;
	answer: string;
	state: 'asked' | 'done' | 'refused';
}

export const log = signal<LogLine[]>([]);
let lines = 0;

/**
 * act() - do something that changes something, and write down what was asked and what was answered.
 * @done: the sentence of a good answer. Nothing is claimed until there is one.
 */
export async function act<T>(what: string, call: () => Promise<Answer<T>>, done: (data: T) => string): Promise<Answer<T>> {
	const line: LogLine = {nr: ++lines, at: Date.now(), what, answer: 'asked, no answer yet', state: 'asked'};
	log.value = [line, ...log.value].slice(0, LOG_MAX);
	const a = await call();
	const answer = a.ok
		? done(a.data)
		: a.status
			? `Refused (${a.status}): ${a.says}`
			: `${a.says} It is not known whether it was done: look at the list.`;
	log.value = log.value.map((l) => (l.nr === line.nr ? {...line, answer, state: a.ok ? 'done' : 'refused'} : l));
	void load_audit();
	return a;
}

function upsert<T extends {id: string}>(list: readonly T[], item: T, max: number): T[] {
	const at = list.findIndex((i) => i.id === item.id);
	return at < 0 ? [item, ...list].slice(0, max) : list.map((i, k) => (k === at ? item : i));
}

export function put_fault(f: Fault): void {
	faults.value = upsert(faults.peek(), f, FAULTS_MAX);
}

export function put_load(l: Load): void {
	loads.value = upsert(loads.peek(), l, LOADS_MAX);
}

export async function load_faults(): Promise<void> {
	const a = await get<List<Fault>>('/v1/faults');
	if (a.ok)
		faults.value = a.data.items.slice(0, FAULTS_MAX);
}

async function load_audit(): Promise<void> {
	const a = await get<List<AuditEntry>>(`/v1/audit?limit=${AUDIT_LIMIT}`);
	if (a.ok)
		audit.value = a.data.items;
}

async function load_loads(): Promise<void> {
	const [list, kinds] = await Promise.all([get<List<Load>>('/v1/loads'), get<LoadShapes>('/v1/loads/shapes')]);
	if (list.ok)
		loads.value = list.data.items.slice(0, LOADS_MAX);
	if (kinds.ok)
		shapes.value = kinds.data;
}

async function load(): Promise<void> {
	const [s, t] = await Promise.all([get<List<Service>>('/v1/services'), get<List<FaultType>>('/v1/faults/types')]);
	batch(() => {
		trouble.value = !s.ok ? s.says : !t.ok ? t.says : '';
		if (s.ok)
			services.value = s.data.items;
		if (t.ok)
			types.value = t.data.items;
		loaded.value = s.ok && t.ok;
	});
	await Promise.all([load_faults(), load_loads(), load_audit()]);
}

function take_sample(s: Sample): void {
	const now = Array.isArray(s?.services) ? s.services.filter((x) => typeof x?.name === 'string') : [];
	const old = sparks.peek();
	batch(() => {
		services.value = now;
		sparks.value = new Map(now.map((x) => [x.name, [...(old.get(x.name) ?? []).slice(1 - SPARK_POINTS), x.latency_ms?.p99 ?? null]]));
	});
}

function on_event(e: ServerEvent): void {
	const item = e.data as {id?: unknown};
	switch (e.event) {
	case 'sample':
		return take_sample(e.data as Sample);
	case 'fault':
		if (typeof item?.id === 'string')
			put_fault(e.data as Fault);
		return;
	case 'load':
		if (typeof item?.id === 'string')
			put_load(e.data as Load);
		return;
	case 'reset':
		void load();
		return;
	}
}

export function start_store(): void {
	listen({event: on_event, connected: () => void load()});
	setInterval(() => {
		if (!document.hidden && armed.peek().length)
			void load_faults();
	}, COUNTS_MS);
}

export const find_service = (name: string) => services.value.find((s) => s.name === name);
