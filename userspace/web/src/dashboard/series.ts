// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The charts' numbers: one service, one range, all metrics on one time axis.
 *
 * While live only what is new is asked for (the last points again, since the
 * daemon may have completed them); the grid's step is the daemon's choice.
 * null is unknown, and stays null: a gap.
 */
import {signal} from '@preact/signals';
import {get, query} from '../shared/api.ts';
import type {Series} from '../shared/types.ts';

export const METRICS = [
	'rate_per_s', 'error_ratio', 'p50_ms', 'p90_ms', 'p99_ms', 'self_mean_ms',
	'cpu_cores', 'runqueue_p95_ms', 'inflight', 'score', 'threshold',
] as const;
export type Metric = (typeof METRICS)[number];

export interface Grid {
	service: string;
	from: number;
	to: number;
	step: number;
	times: number[];
	values: Record<Metric, (number | null)[]>;
	heat: {bounds: number[]; counts: (number[] | null)[]} | null;
}

export type GridState = {state: 'loading'} | {state: 'error'; says: string} | {state: 'there'};

export const grid = signal<Grid | null>(null);
export const grid_state = signal<GridState>({state: 'loading'});

const POINTS_MAX = 4000;
/* Points that are asked for again: the newest may have been incomplete. */
const AGAIN = 3;

/** to_grid() - a daemon's answer on its own grid; throws on what is no grid at all. */
export function to_grid(a: Series): Grid {
	const step = Number(a.step_s);
	const length = Math.max(0, ...a.series.map((s) => s.values.length), a.heat?.counts.length ?? 0);
	if (!(step > 0) || !Number.isFinite(a.from) || length > POINTS_MAX)
		throw new Error('The daemon answered with a series that cannot be drawn.');
	const times = Array.from({length}, (_, i) => a.from + i * step);
	const values = Object.fromEntries(
		METRICS.map((m) => {
			const of = a.series.find((s) => s.metric === m)?.values ?? [];
			return [m, times.map((_, i) => of[i] ?? null)];
		}),
	) as Grid['values'];
	/* A threshold of 0: nothing was scored, there was no model yet. */
	times.forEach((_, i) => {
		if (!values.threshold[i])
			values.score[i] = values.threshold[i] = null;
	});
	const heat = a.heat ? {bounds: a.heat.bounds_ms, counts: times.map((_, i) => a.heat?.counts[i] ?? null)} : null;
	return {service: a.service, from: a.from, to: a.from + (length - 1) * step, step, times, values, heat};
}

/** merge() - @fresh replaces and extends what @old has; before @from all is let go. */
export function merge(old: Grid, fresh: Grid, from: number): Grid {
	const cut = old.times.findIndex((t) => t >= fresh.from - old.step / 2);
	const keep = cut < 0 ? old.times.length : cut;
	const first = Math.max(0, old.times.findIndex((t) => t >= from));
	/* What lies between is unknown: filled up, so that the grid stays one. */
	const last = keep ? (old.times[keep - 1] ?? fresh.from) : fresh.from - old.step;
	const gap = Math.max(0, Math.round((fresh.from - last) / old.step) - 1);
	const holes = <T>(v: T) => Array.from({length: gap}, () => v);
	const join = <T>(a: T[], b: T[], none: T) => [...a.slice(first, keep), ...holes(none), ...b];
	const times = join(old.times, fresh.times, 0).map((_, i) => (old.times[first] ?? fresh.from) + i * old.step);
	const values = Object.fromEntries(
		METRICS.map((m) => [m, join<number | null>(old.values[m], fresh.values[m], null)]),
	) as Grid['values'];
	const heat =
		old.heat && fresh.heat
			? {bounds: fresh.heat.bounds, counts: join<number[] | null>(old.heat.counts, fresh.heat.counts, null)}
			: (fresh.heat ?? old.heat);
	return {...fresh, from: times[0] ?? fresh.from, step: old.step, times, values, heat};
}

async function ask(service: string, from: number, to: number, step?: number): Promise<Grid> {
	const a = await get<Series>(
		`/v1/series${query({service, metric: [...METRICS, 'heat'].join(','), from: from.toFixed(3), to: to.toFixed(3), step})}`,
	);
	if (!a.ok)
		throw new Error(a.says);
	return to_grid(a.data);
}

/**
 * follow() - load @service over the last @span_s seconds up to @to_s (0: now, and go on).
 * Answers how to stop; what comes after that is dropped.
 */
export function follow(service: string, span_s: number, to_s: number): () => void {
	let stopped = false;
	let timer = 0;
	const old = grid.peek();
	if (!old || old.service !== service)
		grid.value = null;
	grid_state.value = {state: 'loading'};
	let mine: Grid | null = null;

	const turn = async () => {
		const now = Date.now() / 1000;
		const to = to_s || now;
		try {
			const fresh = mine
				? await ask(service, Math.max(to - span_s, mine.to - AGAIN * mine.step), to, mine.step)
				: await ask(service, to - span_s, to);
			if (stopped)
				return;
			mine = mine ? merge(mine, fresh, to - span_s) : fresh;
			grid.value = mine;
			grid_state.value = {state: 'there'};
		} catch (err) {
			if (stopped)
				return;
			grid_state.value = {state: 'error', says: err instanceof Error ? err.message : String(err)};
		}
		if (!to_s && !stopped)
			timer = setTimeout(tick, Math.min(10_000, Math.max(1000, (mine?.step ?? 1) * 1000)));
	};
	/* Nobody looks: asking waits. What was missed is asked for then. */
	const tick = () => {
		if (document.hidden)
			timer = setTimeout(tick, 1000);
		else
			void turn();
	};
	void turn();
	return () => {
		stopped = true;
		clearTimeout(timer);
	};
}
