// SPDX-License-Identifier: GPL-2.0-or-later
/* One service: all charts on one x axis, what made its score, its calls, its slow and failed requests. */
import {useComputed} from '@preact/signals';
import {useEffect} from 'preact/hooks';
import {clock, cores, count, ms, percent, plain, rate, span} from '../shared/format.ts';
import {Name, Says} from '../shared/text.tsx';
import {Empty, now} from '../shared/ui.tsx';
import {bands_of, concerns, MARK_WORDS, marks_of} from './bands.ts';
import {Chart, type Line} from './chart.tsx';
import {heat_painter, heat_range} from './heat.ts';
import {Requests} from './requests.tsx';
import {ScorePanel} from './score.tsx';
import {follow, grid, grid_state, type Grid, type Metric} from './series.ts';
import {edges, faults, find_service, incidents, loaded} from './store.ts';
import {headline, state_kind} from './state.ts';
import {Words} from './table.tsx';
import {live, service, show_incident, show_service, span_s, to_s} from './view.ts';

interface Plot {
	title: string;
	lines: readonly (readonly [string, Metric])[];
	unit: (v: number | null | undefined) => string;
	log?: boolean;
	least?: number;
	most?: number;
	hint?: string;
	said?: (v: number | null | undefined) => string;
}

/* Rate, errors, duration from left to right, then what explains them. */
const BEFORE_HEAT: readonly Plot[] = [
	{title: 'Rate', lines: [['rate', 'rate_per_s']], unit: rate, least: 1},
	{title: 'Errors', lines: [['errors', 'error_ratio']], unit: percent, least: 1, most: 1},
	{title: 'Duration', lines: [['p50', 'p50_ms'], ['p90', 'p90_ms'], ['p99', 'p99_ms']], unit: ms, log: true, hint: 'logarithmic'},
];
const AFTER_HEAT: readonly Plot[] = [
	{title: 'Self time, mean', lines: [['self', 'self_mean_ms']], unit: ms, log: true, hint: 'without waiting for callees, logarithmic'},
	{title: 'CPU, of one core', lines: [['cpu', 'cpu_cores']], unit: cores, least: 0.01},
	{title: 'Run queue p95', lines: [['p95', 'runqueue_p95_ms']], unit: ms, least: 0.01},
	{title: 'In flight', lines: [['requests', 'inflight']], unit: plain, said: (v) => `${plain(v)} requests`, least: 1},
	{title: 'Score', lines: [['score', 'score'], ['threshold', 'threshold']], unit: plain, least: 1, most: 1},
];

function lines_of(g: Grid, plot: Plot): Line[] {
	return plot.lines.map(([label, metric]) => ({label, values: g.values[metric]}));
}

function Charts({g}: {g: Grid}) {
	const bands = useComputed(() => bands_of(service.value, faults.value, incidents.value));
	const marks = useComputed(() => marks_of(service.value, incidents.value));
	const to = to_s.value || Math.max(g.to, g.from + 1);
	const common = {times: g.times, from: to - span_s.value, to, bands: bands.value, marks: marks.value};
	const chart = (p: Plot) => <Chart key={p.title} {...common} {...p} lines={lines_of(g, p)} />;
	return (
		<>
			<div class="charts">
				{BEFORE_HEAT.map(chart)}
				{g.heat && (
					<Chart
						title="Heat map"
						hint="how many requests took how long; darker is more"
						{...common}
						lines={[{label: 'requests', values: g.heat.counts.map((c) => (c ? c.reduce((a, b) => a + b, 0) : null))}]}
						unit={ms}
						said={(v) => `${count(v)} requests`}
						log
						y_range={heat_range(g.heat)}
						paint={heat_painter(g)}
					/>
				)}
				{AFTER_HEAT.map(chart)}
			</div>
			<p class="soft small bands-legend">
				<span class="swatch hatched" aria-hidden="true" /> fault armed <span class="swatch solid" aria-hidden="true" /> incident · {MARK_WORDS} ·
				a gap: not known · drag across a chart to zoom
			</p>
			<DataTable g={g} />
		</>
	);
}

const ROWS = 30;

/** The same numbers for who does not see lines. */
function DataTable({g}: {g: Grid}) {
	const plots = [...BEFORE_HEAT, ...AFTER_HEAT];
	const every = Math.max(1, Math.ceil(g.times.length / ROWS));
	const rows = g.times.map((_, i) => i).filter((i) => i % every === 0).reverse();
	return (
		<details class="panel">
			<summary>The charts as a table</summary>
			<div class="scroll" tabIndex={0} role="group" aria-label="Table of the charts">
				<table>
					<thead>
						<tr>
							<th scope="col">Time</th>
							{plots.flatMap((p) => p.lines.map(([label]) => <th key={p.title + label} scope="col" class="num">{p.lines.length > 1 ? `${p.title} ${label}` : p.title}</th>))}
						</tr>
					</thead>
					<tbody>
						{rows.map((i) => (
							<tr key={g.times[i]}>
								<th scope="row">{clock((g.times[i] ?? 0) * 1000)}</th>
								{plots.flatMap((p) => p.lines.map(([label, metric]) => <td key={p.title + label} class="num">{p.unit(g.values[metric][i])}</td>))}
							</tr>
						))}
					</tbody>
				</table>
			</div>
		</details>
	);
}

function Calls() {
	const mine = useComputed(() => edges.value.filter((e) => e.client === service.value || e.server === service.value));
	if (!mine.value.length)
		return null;
	return (
		<section class="panel" aria-label="Calls">
			<h2>Calls, last seconds</h2>
			<div class="scroll" tabIndex={0} role="group" aria-label="Table of calls">
				<table>
					<thead>
						<tr>
							<th scope="col">Who calls whom</th>
							<th scope="col" class="num">Rate</th>
							<th scope="col" class="num">Errors</th>
							<th scope="col" class="num">p99 at server</th>
							<th scope="col" class="num drop3">p99 at client</th>
							<th scope="col" class="num drop1">Network's share</th>
						</tr>
					</thead>
					<tbody>
						{mine.value.map((e) => {
							const other = e.client === service.value ? e.server : e.client;
							const known = find_service(other) !== undefined;
							return (
								<tr key={`${e.client}\n${e.server}`}>
									<th scope="row">
										{e.client === service.value ? 'calls ' : 'is called by '}
										{known ? (
											<button type="button" class="plain link" onClick={() => show_service(other)}>
												<Name of={other} />
											</button>
										) : (
											<Name of={other} />
										)}
									</th>
									<td class="num">{rate(e.rate_per_s)}</td>
									<td class="num">{percent(e.error_ratio)}</td>
									<td class="num">{ms(e.at_server.p99_ms)}</td>
									<td class="num drop3">{ms(e.at_client.p99_ms)}</td>
									<td class="num drop1">{percent(e.network_share_ratio)}</td>
								</tr>
							);
						})}
					</tbody>
				</table>
			</div>
		</section>
	);
}

function Happenings() {
	const low = (to_s.value || now.value / 1000) - span_s.value;
	const list = incidents.value.filter((i) => concerns(i, service.value) && !(i.closed_at && Date.parse(i.closed_at) / 1000 < low));
	const hurt = faults.value.filter((f) => f.service === service.value && f.state === 'armed');
	if (!list.length && !hurt.length)
		return null;
	return (
		<ul class="happenings">
			{hurt.map((f) => (
				<li key={f.id} class="tag injected wide">
					⚡ <Says of={f.says} most={240} />
					{f.ends_at && live.value && ` · ${span((Date.parse(f.ends_at) - now.value) / 1000)} left`}
				</li>
			))}
			{list.map((i) => (
				<li key={i.id}>
					<button type="button" class={`tag wide ${state_kind(i)}`} onClick={() => show_incident(i.id)}>
						incident <Says of={i.id} most={32} />: {headline(i)} ›
					</button>
				</li>
			))}
		</ul>
	);
}

function Body() {
	const state = grid_state.value;
	const g = grid.value;
	if (g && g.service === service.value) {
		const nothing = g.times.length === 0;
		return (
			<>
				{state.state === 'error' && <p class="note warning">The charts stand still: <Says of={state.says} /></p>}
				{nothing ? <Empty title="Nothing is known of this time" /> : <Charts g={g} />}
			</>
		);
	}
	if (state.state === 'error')
		return (
			<Empty title="No charts">
				<p><Says of={state.says} /></p>
			</Empty>
		);
	return <p class="empty" role="status">Loading the charts…</p>;
}

export function ServiceView() {
	const name = service.value;
	useEffect(() => (name ? follow(name, span_s.value, to_s.value) : undefined), [name, span_s.value, to_s.value]);
	if (!name)
		return (
			<section class="panel" aria-label="Service">
				<Empty title="No service is chosen">
					<p>Choose one in the map or the table: its charts, calls and requests appear here.</p>
				</Empty>
			</section>
		);
	const s = find_service(name);
	return (
		<section class="service" aria-label="Service">
			<div class="row head">
				<h2 class="grow">
					<Name of={name} /> {s && live.value && <Words of={s} />}
				</h2>
				<button type="button" onClick={() => show_service('')}>Close ✕</button>
			</div>
			{loaded.value && !s && <p class="note warning">This service is not watched now. What is known of it is below.</p>}
			<Happenings />
			<Body />
			<div class="below">
				<ScorePanel />
				<Calls />
			</div>
			<Requests />
		</section>
	);
}
