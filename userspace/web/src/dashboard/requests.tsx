// SPDX-License-Identifier: GPL-2.0-or-later
/* The service's slow and failed requests, as they were. Paths are strangers' text. */
import {useSignal} from '@preact/signals';
import {useEffect} from 'preact/hooks';
import {get, query} from '../shared/api.ts';
import {clock, ms} from '../shared/format.ts';
import {Name, Says} from '../shared/text.tsx';
import type {List, Request} from '../shared/types.ts';
import {poll} from './score.tsx';
import {service} from './view.ts';

const LIMIT = 50;
const SHOW = [
	{key: 'bad', name: 'Slow or failed', slow: true, failed: true},
	{key: 'slow', name: 'Slow', slow: true, failed: undefined},
	{key: 'failed', name: 'Failed', slow: undefined, failed: true},
	{key: 'all', name: 'All sampled', slow: undefined, failed: undefined},
] as const;

/** Each request once: what the server saw, and of the clients' sides only what no server saw. */
function once(list: readonly Request[]): Request[] {
	const key = (r: Request) => `${r.trace_id} ${r.method} ${r.path}`;
	const served = new Set(list.filter((r) => r.side === 'server').map(key));
	return list.filter((r) => r.side === 'server' || !r.trace_id || !served.has(key(r)));
}

function Row({r}: {r: Request}) {
	return (
		<tr>
			<td class="num left">{clock(Date.parse(r.at))}</td>
			<th scope="row" class="path">
				<b>{r.method}</b> <Says of={r.path} most={128} />
				<span class="small soft from"> from <Name of={r.client} most={32} /></span>
			</th>
			<td class="num">
				<span class={r.failed ? 'tag failing' : ''}>
					{r.failed && <span aria-hidden="true">✕ </span>}
					{r.aborted ? 'aborted' : r.status || 'none'}
				</span>
			</td>
			<td class="num">
				<span class={r.slow ? 'tag warning' : ''}>
					{ms(r.duration_ms)}
					{r.slow && ' slow'}
				</span>
			</td>
			<td class="num drop1">{ms(r.ttfb_ms)}</td>
			<td class="drop2 small"><code><Says of={r.trace_id ?? '–'} most={40} /></code></td>
		</tr>
	);
}

export function Requests() {
	const which = useSignal<(typeof SHOW)[number]['key']>('bad');
	const list = useSignal<Request[] | null>(null);
	const says = useSignal('');
	const name = service.value;
	const chosen = SHOW.find((s) => s.key === which.value) ?? SHOW[0];
	useEffect(() => {
		list.value = null;
		return poll(async (stopped) => {
			const a = await get<List<Request>>(`/v1/requests${query({service: name, slow: chosen.slow, failed: chosen.failed, limit: LIMIT})}`);
			if (stopped())
				return;
			says.value = a.ok ? '' : a.says;
			if (a.ok)
				list.value = once(a.data.items);
		});
	}, [name, chosen]);
	return (
		<section class="panel requests" aria-label="Requests">
			<div class="row head">
				<h2 class="grow">Requests</h2>
				<div class="row" role="group" aria-label="Which requests">
					{SHOW.map((s) => (
						<button
							key={s.key}
							type="button"
							aria-pressed={s.key === which.value}
							onClick={() => {
								which.value = s.key;
							}}
						>
							{s.name}
						</button>
					))}
				</div>
			</div>
			{says.value && <p class="note warning"><Says of={says.value} /></p>}
			{list.value?.length === 0 && <p class="empty">None in what the daemon remembers.</p>}
			{!!list.value?.length && (
				<div class="scroll" tabIndex={0} role="group" aria-label="Table of requests">
					<table>
						<thead>
							<tr>
								<th scope="col">Time</th>
								<th scope="col">Request</th>
								<th scope="col" class="num">Status</th>
								<th scope="col" class="num">Took</th>
								<th scope="col" class="num drop1">First byte</th>
								<th scope="col" class="drop2">Trace</th>
							</tr>
						</thead>
						<tbody>
							{list.value.map((r, i) => (
								<Row key={`${r.at}${r.path}${i}`} r={r} />
							))}
						</tbody>
					</table>
				</div>
			)}
		</section>
	);
}
