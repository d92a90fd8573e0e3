// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The overview of a range that is over: each service's numbers from its series,
 * the mean over the range (for p50 and p99 the mean of the points' quantiles).
 * Asked for once a range, SERVICES_MAX services at most, a few at a time.
 */
import {effect, signal} from '@preact/signals';
import {get, query} from '../shared/api.ts';
import type {Series, Service} from '../shared/types.ts';
import {loaded, services} from './store.ts';
import {page, span_s, to_s} from './view.ts';

const SERVICES_MAX = 200;
const AT_ONCE = 4;
const SETTLE_MS = 250;

export interface Past {
	/** null: still being asked for. */
	services: Service[] | null;
	says: string;
}

export const past = signal<Past>({services: null, says: ''});

const WANTED = 'rate_per_s,error_ratio,p50_ms,p99_ms,self_mean_ms,cpu_cores,runqueue_p95_ms,score';

function mean(values: readonly (number | null)[]): number | null {
	const known = values.filter((v): v is number => v !== null);
	return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
}

/** as_service() - a series' means, in the shape of a service. */
export function as_service(s: Service, a: Series): Service {
	const of = (metric: string) => mean(a.series.find((x) => x.metric === metric)?.values ?? []);
	return {
		...s,
		rate_per_s: of('rate_per_s'),
		error_ratio: of('error_ratio'),
		latency_ms: {p50: of('p50_ms'), p90: null, p99: of('p99_ms')},
		self_ms: {mean: of('self_mean_ms'), p50: null, p99: null},
		cpu_cores: of('cpu_cores'),
		runqueue_ms: {p95: of('runqueue_p95_ms')},
		score: of('score'),
		threshold: 1,
		anomalous: false,
	};
}

async function load(from: number, to: number, stale: () => boolean): Promise<void> {
	const todo = services.peek().slice(0, SERVICES_MAX);
	const done: Service[] = [];
	let says = '';
	const worker = async () => {
		for (let s = todo.shift(); s && !stale(); s = todo.shift()) {
			const a = await get<Series>(`/v1/series${query({service: s.name, metric: WANTED, from: from.toFixed(3), to: to.toFixed(3)})}`);
			if (a.ok)
				done.push(as_service(s, a.data));
			else
				says = a.says;
		}
	};
	await Promise.all(Array.from({length: AT_ONCE}, worker));
	if (!stale())
		past.value = {services: done, says};
}

export function start_past(): void {
	let turn = 0;
	effect(() => {
		const mine = ++turn;
		const to = to_s.value;
		const from = to - span_s.value;
		if (!to || page.value !== 'overview' || !loaded.value)
			return;
		past.value = {services: past.peek().services, says: ''};
		setTimeout(() => {
			if (mine === turn)
				void load(from, to, () => mine !== turn);
		}, SETTLE_MS);
	});
}
