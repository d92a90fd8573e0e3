// SPDX-License-Identifier: GPL-2.0-or-later
/* What is armed now, by anybody: how long, how many requests it touched and spared, and what it does to its victim. */
import {useSignal} from '@preact/signals';
import {remove} from '../shared/api.ts';
import {link} from '../shared/events.ts';
import {clock, count, instant, ms, span} from '../shared/format.ts';
import {Spark} from '../shared/spark.tsx';
import {Name, Says, tame} from '../shared/text.tsx';
import type {Fault} from '../shared/types.ts';
import {now} from '../shared/ui.tsx';
import {act, armed, ended, find_service, loaded, put_fault, read_only, sparks} from './store.ts';
import {Victim} from './victim.tsx';

const ENDED_SHOWN = 5;

export const stop_one = (f: Fault) =>
	act(`stop ${f.type} on ${f.service} (${f.id})`, () => remove<Fault>(`/v1/faults/${encodeURIComponent(f.id)}`), (done) => `Ended: ${count(done.touched?.requests)} requests were touched.`).then((a) => {
		if (a.ok)
			put_fault(a.data);
	});

function counts(f: Fault): string {
	const touched = f.touched?.requests ?? 0;
	const all = touched + (f.spared?.requests ?? 0);
	if (!all)
		return f.type === 'cpu' ? 'takes CPU, touches no request' : 'no traffic yet: 0 requests touched';
	return `${count(touched)} of ${count(all)} requests touched, ${count(all - touched)} spared`;
}

function Armed({f}: {f: Fault}) {
	const open = useSignal(false);
	const busy = useSignal(false);
	const left = f.ends_at ? instant(f.ends_at) - now.value / 1000 : null;
	const whole = f.ends_at ? instant(f.ends_at) - instant(f.armed_at) : 0;
	const p99 = find_service(f.service)?.latency_ms?.p99;
	return (
		<li class="armed">
			<div class="row">
				<button
					type="button"
					class="plain what grow"
					aria-expanded={open.value}
					onClick={() => {
						open.value = !open.value;
					}}
				>
					<span>
						<b><Name of={f.service} /></b> <Says of={f.type} most={32} /> <span class="soft">{open.value ? '▴' : '▾'}</span>
					</span>
					<span class="left">{left === null ? 'until reset' : left > 0 ? `${span(left)} left` : 'ending…'}</span>
				</button>
				<button
					type="button"
					disabled={busy.value || link.value.state !== 'live' || read_only.value !== ''}
					aria-label={`Stop ${tame(f.type, 32)} on ${tame(f.service, 64)}`}
					onClick={async () => {
						busy.value = true;
						await stop_one(f);
						busy.value = false;
					}}
				>
					■ Stop
				</button>
			</div>
			{left !== null && whole > 0 && <progress max={whole} value={Math.max(0, left)} aria-label="time left" />}
			<div class="row small">
				<span class="grow">{counts(f)}</span>
				<span class="row">
					<Spark values={sparks.value.get(f.service) ?? []} label="the victim's p99 over the last minute" width={88} height={22} />
					<b>p99 {ms(p99)}</b>
				</span>
			</div>
			{open.value && (
				<>
					<p class="small"><Says of={f.says} /></p>
					<Victim f={f} />
				</>
			)}
		</li>
	);
}

function Ended({f}: {f: Fault}) {
	const p99 = find_service(f.service)?.latency_ms?.p99;
	return (
		<li class="small row">
			<span class="grow">
				<Name of={f.service} most={32} /> <Says of={f.type} most={32} />: <Says of={f.state} most={32} />{f.ends_at && ` ${clock(Date.parse(f.ends_at))}`}, {counts(f)}
			</span>
			<span>p99 now {ms(p99)}</span>
		</li>
	);
}

export function ArmedList() {
	const over = ended.value.slice(0, ENDED_SHOWN);
	return (
		<section class="panel" aria-label="Armed">
			<h2>Armed{armed.value.length > 0 && ` (${armed.value.length})`}</h2>
			{!armed.value.length && loaded.value && <p class="soft">Nothing is armed. Every service is left alone.</p>}
			<ul class="list">
				{armed.value.map((f) => (
					<Armed key={f.id} f={f} />
				))}
			</ul>
			{over.length > 0 && (
				<details>
					<summary>Ended ({ended.value.length})</summary>
					<ul class="list">
						{over.map((f) => (
							<Ended key={f.id} f={f} />
						))}
					</ul>
				</details>
			)}
		</section>
	);
}
