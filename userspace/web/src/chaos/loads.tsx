// SPDX-License-Identifier: GPL-2.0-or-later
/* Load tests on the demo services: choose a shape, start, watch, stop. */
import {signal} from '@preact/signals';
import {post, remove} from '../shared/api.ts';
import {link} from '../shared/events.ts';
import {clock, count, instant, ms, percent, rate, span} from '../shared/format.ts';
import {Says, tame} from '../shared/text.tsx';
import type {Load} from '../shared/types.ts';
import {now} from '../shared/ui.tsx';
import {act, loads, put_load, read_only, running, shapes} from './store.ts';

const shape = signal<Load['shape']>('normal');
const with_failures = signal(false);
const busy = signal(false);
const PAST_SHOWN = 5;

async function during<T>(work: () => Promise<T>): Promise<T> {
	busy.value = true;
	try {
		return await work();
	} finally {
		busy.value = false;
	}
}

const start = () =>
	during(async () => {
		const body = {shape: shape.value, with_failures: with_failures.value};
		const a = await act(`start load ${shape.value}${with_failures.value ? ' with failures' : ''}`, () => post<Load>('/v1/loads', body), (l) => `Started as ${l.id}.`);
		if (a.ok)
			put_load(a.data);
	});

const stop = (l: Load) =>
	during(async () => {
		const a = await act(`stop load ${l.shape} (${l.id})`, () => remove<Load>(`/v1/loads/${encodeURIComponent(l.id)}`), (d) => `Stopped after ${count(d.requests)} requests.`);
		if (a.ok)
			put_load(a.data);
	});

function Numbers({l}: {l: Load}) {
	return (
		<dl class="numbers">
			<div><dt>users</dt><dd>{count(l.vus)}</dd></div>
			<div><dt>rate</dt><dd>{rate(l.rate_per_s)}</dd></div>
			<div><dt>requests</dt><dd>{count(l.requests)}</dd></div>
			<div><dt>errors</dt><dd>{percent(l.error_ratio)}</dd></div>
			<div><dt>p50</dt><dd>{ms(l.latency_ms?.p50)}</dd></div>
			<div><dt>p90</dt><dd>{ms(l.latency_ms?.p90)}</dd></div>
			<div><dt>p99</dt><dd>{ms(l.latency_ms?.p99)}</dd></div>
		</dl>
	);
}

function Running({l}: {l: Load}) {
	const left = l.ends_at ? Math.max(0, instant(l.ends_at) - now.value / 1000) : l.remaining_s;
	const whole = l.ends_at ? instant(l.ends_at) - instant(l.started_at) : 0;
	return (
		<div class="running" data-load={l.id}>
			<div class="row">
				<span class="grow">
					<b>{tame(l.shape, 32)}</b> is running{l.with_failures && ', with failures'} · {span(left)} left
				</span>
				<button type="button" disabled={busy.value || link.value.state !== 'live' || read_only.value !== ''} onClick={() => void stop(l)}>
					■ Stop load
				</button>
			</div>
			{whole > 0 && <progress max={whole} value={whole - left} aria-label="load test's progress" />}
			<Numbers l={l} />
			{l.says && <p class="soft small"><Says of={l.says} /></p>}
		</div>
	);
}

const RESULT: Record<Load['state'], {kind: string; text: string}> = {
	running: {kind: '', text: 'running'},
	passed: {kind: 'well', text: '✓ passed'},
	failed: {kind: 'failing', text: '✕ failed'},
	stopped: {kind: '', text: '■ stopped'},
	error: {kind: 'failing', text: '! could not run'},
};

function Past({l}: {l: Load}) {
	const result = RESULT[l.state] ?? RESULT.error;
	return (
		<li>
			<details>
				<summary>
					<b>{tame(l.shape, 32)}</b> {clock(Date.parse(l.started_at))} <span class={`tag ${result.kind}`}>{result.text}</span>
				</summary>
				<Numbers l={l} />
				<p class="small"><Says of={l.says} /></p>
				<ul class="small">
					{(l.thresholds ?? []).map((t, k) => (
						<li key={k}>{t.ok ? '✓' : '✕'} threshold {tame(t.expr, 120)}</li>
					))}
					{(l.checks ?? []).map((c, k) => (
						<li key={k}>{c.fails ? '✕' : '✓'} {tame(c.name, 120)}: {count(c.ok)} good, {count(c.fails)} bad</li>
					))}
				</ul>
			</details>
		</li>
	);
}

export function Loads() {
	const list = shapes.value;
	const one = list?.items.find((s) => s.shape === shape.value);
	const run = running.value;
	const off = busy.value || link.value.state !== 'live' || read_only.value !== '' || list?.available === false;
	const past = loads.value.filter((l) => l.state !== 'running').slice(0, PAST_SHOWN);
	return (
		<section class="panel" aria-label="Load tests">
			<h2>Load tests</h2>
			{!list && <p class="soft">The daemon has told no load shapes.</p>}
			{list?.available === false && <p class="note warning"><Says of={list.why || 'The load generator is not installed.'} /></p>}
			{run && <Running l={run} />}
			{list && !run && (
				<>
					<div class="row fourths" role="group" aria-label="Shape of the load">
						{list.items.map((s) => (
							<button
								key={tame(s.shape, 32)}
								type="button"
								aria-pressed={s.shape === shape.value}
								onClick={() => {
									shape.value = s.shape;
								}}
							>
								{tame(s.shape, 32)}
							</button>
						))}
					</div>
					{one && <p><Says of={one.says} /> <span class="soft small">({span(one.duration_s)}, up to {count(one.vus_max)} users)</span></p>}
					<label class="row check">
						<input
							type="checkbox"
							checked={with_failures.value}
							onChange={(e) => {
								with_failures.value = e.currentTarget.checked;
							}}
						/>
						with failures: 20 % of db's answers late, 10 % of auth's errors
					</label>
					<button type="button" class="wide" disabled={off} onClick={() => void start()}>
						▶ Start {shape.value}
					</button>
				</>
			)}
			<ul class="list">
				{past.map((l) => (
					<Past key={l.id} l={l} />
				))}
			</ul>
		</section>
	);
}
