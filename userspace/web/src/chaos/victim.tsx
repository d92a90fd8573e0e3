// SPDX-License-Identifier: GPL-2.0-or-later
/* What a fault does to its victim: p99, rate and errors of the last two minutes, the fault's time hatched. */
import {useSignal} from '@preact/signals';
import {useEffect} from 'preact/hooks';
import {get, query} from '../shared/api.ts';
import {instant, ms, percent, rate} from '../shared/format.ts';
import {spark_path} from '../shared/spark.tsx';
import {Says} from '../shared/text.tsx';
import type {Fault, Series} from '../shared/types.ts';

const SPAN_S = 120;
const EVERY_MS = 2000;
const W = 320;
const H = 56;

const ROWS = [
	{metric: 'p99_ms', name: 'p99', show: ms},
	{metric: 'rate_per_s', name: 'rate', show: rate},
	{metric: 'error_ratio', name: 'errors', show: percent},
] as const;

function last_known(values: readonly (number | null)[]): number | null {
	for (let i = values.length - 1; i >= Math.max(0, values.length - 5); i--)
		if (values[i] !== null && values[i] !== undefined)
			return values[i] as number;
	return null;
}

function Row({s, f, row}: {s: Series; f: Fault; row: (typeof ROWS)[number]}) {
	const values = s.series.find((x) => x.metric === row.metric)?.values ?? [];
	const points = Math.max(2, values.length);
	const x = (t: number) => Math.min(W, Math.max(0, ((t - s.from) / (s.step_s * (points - 1))) * W));
	const from = x(instant(f.armed_at));
	const to = f.state === 'armed' ? W : x(instant(f.ends_at));
	const top = Math.max(0, ...values.map((v) => v ?? 0));
	return (
		<figure class="victim">
			<figcaption class="row small">
				<b class="grow">{row.name} {row.show(last_known(values))}</b>
				<span class="soft">highest {row.show(top)}</span>
			</figcaption>
			<svg viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="none" role="img" aria-label={`${row.name} over two minutes: now ${row.show(last_known(values))}, highest ${row.show(top)}`}>
				<defs>
					<pattern id={`h-${f.id}-${row.metric}`} width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
						<rect width="2" height="6" class="hatch" />
					</pattern>
				</defs>
				{to > from && <rect x={from} width={to - from} height={H} fill={`url(#h-${f.id}-${row.metric})`} class="band" />}
				<path d={spark_path(values, W, H, points)} />
			</svg>
		</figure>
	);
}

export function Victim({f}: {f: Fault}) {
	const series = useSignal<Series | null>(null);
	const says = useSignal('');
	useEffect(() => {
		let stopped = false;
		let timer = 0;
		const turn = async () => {
			const to = Date.now() / 1000;
			const a = await get<Series>(`/v1/series${query({service: f.service, metric: ROWS.map((r) => r.metric).join(','), from: (to - SPAN_S).toFixed(1), to: to.toFixed(1), step: 1})}`);
			if (stopped)
				return;
			says.value = a.ok ? '' : a.says;
			if (a.ok)
				series.value = a.data;
			timer = setTimeout(() => void turn(), EVERY_MS);
		};
		void turn();
		return () => {
			stopped = true;
			clearTimeout(timer);
		};
	}, [f.service]);
	const s = series.value;
	return (
		<div class="victims">
			{says.value && <p class="soft"><Says of={says.value} /></p>}
			{s && ROWS.map((row) => <Row key={row.metric} s={s} f={f} row={row} />)}
			{s && <p class="soft small">the last two minutes; hatched: this fault</p>}
		</div>
	);
}
