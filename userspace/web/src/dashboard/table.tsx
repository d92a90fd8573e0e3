// SPDX-License-Identifier: GPL-2.0-or-later
/* All services in a table: ordered by any column, filtered by name; the way to a service. */
import {useComputed} from '@preact/signals';
import {useLayoutEffect, useRef} from 'preact/hooks';
import {cores, ms, percent, plain, rate} from '../shared/format.ts';
import {Spark} from '../shared/spark.tsx';
import {Name} from '../shared/text.tsx';
import type {Service} from '../shared/types.ts';
import {past} from './past.ts';
import {services, sparks} from './store.ts';
import {words_of} from './state.ts';
import {filter, live, service as selected, show_service, sort, toggle_sort} from './view.ts';

interface Column {
	key: string;
	title: string;
	of: (s: Service) => number | null | undefined;
	show: (v: number | null | undefined) => string;
	/** Left out where there is little room: 1 first. */
	drop?: 1 | 2 | 3;
}

const COLUMNS: readonly Column[] = [
	{key: 'rate', title: 'Rate', of: (s) => s.rate_per_s, show: rate},
	{key: 'errors', title: 'Errors', of: (s) => s.error_ratio, show: percent},
	{key: 'p50', title: 'p50', of: (s) => s.latency_ms?.p50, show: ms, drop: 2},
	{key: 'p99', title: 'p99', of: (s) => s.latency_ms?.p99, show: ms},
	{key: 'self', title: 'Self', of: (s) => s.self_ms?.mean, show: ms, drop: 2},
	{key: 'cpu', title: 'CPU', of: (s) => s.cpu_cores, show: cores, drop: 1},
	{key: 'runq', title: 'Run queue', of: (s) => s.runqueue_ms?.p95, show: ms, drop: 1},
	{key: 'score', title: 'Score', of: (s) => (s.threshold ? s.score : null), show: plain, drop: 3},
];

function order(list: readonly Service[], by: string): Service[] {
	const down = by.startsWith('-');
	const key = down ? by.slice(1) : by;
	const column = COLUMNS.find((c) => c.key === key);
	const names = (a: Service, b: Service) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
	if (!column)
		return [...list].sort((a, b) => (down ? -names(a, b) : names(a, b)));
	/* What is unknown comes last, whichever way. */
	const value = (s: Service) => column.of(s) ?? (down ? -Infinity : Infinity);
	return [...list].sort((a, b) => (down ? value(b) - value(a) : value(a) - value(b)) || names(a, b));
}

function Head({name, title, drop}: {name: string; title: string; drop?: number | undefined}) {
	const down = sort.value === `-${name}`;
	const up = sort.value === name;
	return (
		<th scope="col" class={name === 'name' ? '' : `num${drop ? ` drop${drop}` : ''}`} aria-sort={down ? 'descending' : up ? 'ascending' : 'none'}>
			<button type="button" class="plain" onClick={() => toggle_sort(name)}>
				{title}
				<span aria-hidden="true">{down ? '▾' : up ? '▴' : ''}</span>
			</button>
		</th>
	);
}

export function Words({of}: {of: Service}) {
	return (
		<>
			{words_of(of).map((w) => (
				<span key={w.text} class={`tag ${w.kind}`}>
					<span aria-hidden="true">{w.glyph}</span> {w.text}
				</span>
			))}
		</>
	);
}

function Row({s}: {s: Service}) {
	return (
		<tr class={selected.value === s.name ? 'selected' : ''}>
			<th scope="row">
				<button type="button" class="plain link" aria-pressed={selected.value === s.name} onClick={() => show_service(s.name)}>
					<Name of={s.name} />
				</button>
				<span class="words">{live.value && <Words of={s} />}</span>
			</th>
			{COLUMNS.map((c) => (
				<td key={c.key} class={`num${c.drop ? ` drop${c.drop}` : ''}`}>{c.show(c.of(s))}</td>
			))}
			<td class="drop3">
				{live.value && <Spark values={sparks.value.get(s.name) ?? []} label="p99 over the last minute" />}
			</td>
		</tr>
	);
}

export function ServiceTable() {
	const field = useRef<HTMLInputElement>(null);
	const rows = useComputed(() => {
		const all = live.value ? services.value : (past.value.services ?? []);
		const wanted = filter.value.toLowerCase();
		return order(all.filter((s) => s.name.toLowerCase().includes(wanted)), sort.value);
	});
	/* With the table itself, not a frame later: whoever sees it may press the key. */
	useLayoutEffect(() => {
		const jump = (e: KeyboardEvent) => {
			if (e.key !== '/' || e.ctrlKey || e.metaKey || e.altKey || (e.target as Element).closest('input, textarea, select'))
				return;
			e.preventDefault();
			field.current?.focus();
		};
		addEventListener('keydown', jump);
		return () => removeEventListener('keydown', jump);
	}, []);
	const total = live.value ? services.value.length : (past.value.services?.length ?? 0);
	return (
		<section class="panel table" aria-label="Services">
			<div class="row head">
				<h2>Services</h2>
				<span class="soft small grow">{rows.value.length === total ? `${total} watched` : `${rows.value.length} of ${total}`}</span>
				<input
					ref={field}
					type="search"
					placeholder="Filter ( / )"
					aria-label="Filter services by name"
					maxLength={64}
					value={filter.value}
					onInput={(e) => {
						filter.value = e.currentTarget.value;
					}}
				/>
			</div>
			<div class="scroll" tabIndex={0} role="group" aria-label="Table of services">
				<table>
					<thead>
						<tr>
							<Head name="name" title="Name" />
							{COLUMNS.map((c) => (
								<Head key={c.key} name={c.key} title={c.title} drop={c.drop} />
							))}
							<th scope="col" class="drop3 soft">p99, 1 min</th>
						</tr>
					</thead>
					<tbody>
						{rows.value.map((s) => (
							<Row key={s.name} s={s} />
						))}
					</tbody>
				</table>
				{!rows.value.length && total > 0 && <p class="empty">No service's name contains that.</p>}
			</div>
		</section>
	);
}
