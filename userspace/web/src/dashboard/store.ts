// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the daemon last said, kept by name. Loaded whole when the connection
 * comes up, then held up to date by events.
 *
 * Bounds: SPARK_POINTS values a service, and none of a service that is gone;
 * INCIDENTS_MAX and FAULTS_MAX of the newest.
 */
import {batch, computed, signal} from '@preact/signals';
import {get, query} from '../shared/api.ts';
import {listen, type ServerEvent} from '../shared/events.ts';
import {is_open, type Edge, type Fault, type Health, type Incident, type List, type Sample, type Service} from '../shared/types.ts';

const SPARK_POINTS = 60;
const INCIDENTS_MAX = 100;
const FAULTS_MAX = 300;
const HEALTH_MS = 10_000;

/** Nothing is known before the first answer; then an empty list means that there is nothing. */
export const loaded = signal(false);
/** Why the first load failed. */
export const trouble = signal('');
export const services = signal<Service[]>([]);
export const edges = signal<Edge[]>([]);
export const faults = signal<Fault[]>([]);
export const incidents = signal<Incident[]>([]);
export const health = signal<Health | null>(null);
/** p99 of the last minute by service, a point a sample. */
export const sparks = signal<ReadonlyMap<string, readonly (number | null)[]>>(new Map());

export const armed = computed(() => faults.value.filter((f) => f.state === 'armed'));
export const open_incidents = computed(() => incidents.value.filter(is_open));

/** sick() - is it anomalous, hurt, or part of an open incident? */
export const sick = computed(() => {
	const names = new Set<string>();
	for (const s of services.value)
		if (s.anomalous)
			names.add(s.name);
	for (const f of armed.value)
		names.add(f.service);
	for (const i of open_incidents.value) {
		if (i.root_cause)
			names.add(i.root_cause.service);
		i.victims.forEach((v) => names.add(v));
	}
	return names;
});

const is_array = (v: unknown): v is unknown[] => Array.isArray(v);
const named = (list: unknown): Service[] =>
	is_array(list) ? (list as Service[]).filter((s) => typeof s?.name === 'string') : [];
const ended = (list: unknown): Edge[] =>
	is_array(list) ? (list as Edge[]).filter((e) => typeof e?.client === 'string' && typeof e?.server === 'string') : [];

function spark(now: Service[]): void {
	const old = sparks.peek();
	const next = new Map<string, readonly (number | null)[]>();
	for (const s of now)
		next.set(s.name, [...(old.get(s.name) ?? []).slice(1 - SPARK_POINTS), s.latency_ms?.p99 ?? null]);
	sparks.value = next;
}

function take_sample(s: Sample): void {
	const now = named(s?.services);
	batch(() => {
		services.value = now;
		edges.value = ended(s?.edges);
		spark(now);
		loaded.value = true;
	});
}

/** upsert() - the newer one by id, at its place; new ones first; @max of them. */
export function upsert<T extends {id: string}>(list: readonly T[], item: T, max: number): T[] {
	const at = list.findIndex((i) => i.id === item.id);
	if (at < 0)
		return [item, ...list].slice(0, max);
	return list.map((i, k) => (k === at ? item : i));
}

async function load_health(): Promise<void> {
	const a = await get<Health>('/v1/health');
	if (a.ok)
		health.value = a.data;
}

export async function load_incidents(): Promise<void> {
	const a = await get<List<Incident>>(`/v1/incidents${query({limit: INCIDENTS_MAX})}`);
	if (a.ok)
		incidents.value = a.data.items;
}

export async function load_faults(): Promise<void> {
	const a = await get<List<Fault>>('/v1/faults');
	if (a.ok)
		faults.value = a.data.items.slice(0, FAULTS_MAX);
}

async function load(): Promise<void> {
	const graph = await get<{nodes: Service[]; edges: Edge[]}>('/v1/graph');
	if (!graph.ok) {
		trouble.value = graph.says;
		return;
	}
	batch(() => {
		trouble.value = '';
		services.value = named(graph.data.nodes);
		edges.value = ended(graph.data.edges);
		loaded.value = true;
	});
	await Promise.all([load_health(), load_faults(), load_incidents()]);
}

function on_event(e: ServerEvent): void {
	const item = e.data as {id?: unknown};
	switch (e.event) {
	case 'sample':
		return take_sample(e.data as Sample);
	case 'fault':
		if (typeof item?.id === 'string')
			faults.value = upsert(faults.peek(), e.data as Fault, FAULTS_MAX);
		return;
	case 'incident':
		if (typeof item?.id === 'string')
			incidents.value = upsert(incidents.peek(), e.data as Incident, INCIDENTS_MAX);
		return;
	case 'degraded':
		void load_health();
		return;
	case 'reset':
		void load();
		return;
	}
}

export function start_store(): void {
	listen({event: on_event, connected: () => void load()});
	setInterval(() => {
		if (!document.hidden)
			void load_health();
	}, HEALTH_MS);
}

export function find_service(name: string): Service | undefined {
	return services.value.find((s) => s.name === name);
}

export function put_incident(i: Incident): void {
	incidents.value = upsert(incidents.peek(), i, INCIDENTS_MAX);
}
