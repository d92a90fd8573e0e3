// SPDX-License-Identifier: GPL-2.0-or-later
/* What the detector thinks of the service now, and the features that made it think so. */
import {useSignal} from '@preact/signals';
import {useEffect} from 'preact/hooks';
import {get} from '../shared/api.ts';
import {count, percent, plain} from '../shared/format.ts';
import {Says, tame} from '../shared/text.tsx';
import type {List, Score} from '../shared/types.ts';
import {health} from './store.ts';
import {service} from './view.ts';

const EVERY_MS = 2000;
const FEATURES_MAX = 6;

const SCORERS: Record<string, string> = {
	none: 'nothing to judge by yet',
	forest: 'isolation forest',
	static: 'static limits, until the baseline is full',
	total_loss: 'requests come in and none is answered',
};

/** poll() - call @turn now and every EVERY_MS while somebody looks. Answers how to stop. */
export function poll(turn: (stopped: () => boolean) => Promise<void>): () => void {
	let stopped = false;
	let timer = 0;
	const go = async () => {
		if (!document.hidden)
			await turn(() => stopped);
		if (!stopped)
			timer = setTimeout(go, EVERY_MS);
	};
	void go();
	return () => {
		stopped = true;
		clearTimeout(timer);
	};
}

function Features({of}: {of: NonNullable<Score['features']>}) {
	return (
		<table class="features">
			<thead>
				<tr>
					<th scope="col">Feature</th>
					<th scope="col">Its share of the score</th>
					<th scope="col" class="num">Now</th>
					<th scope="col" class="num">Normal</th>
					<th scope="col" class="num drop3">z</th>
				</tr>
			</thead>
			<tbody>
				{of.slice(0, FEATURES_MAX).map((f) => (
					<tr key={f.feature}>
						<th scope="row">{tame(f.feature, 32)}</th>
						<td class="bar">
							<svg width="100%" height="12" aria-hidden="true">
								<rect width={`${Math.min(1, Math.max(0, f.share_ratio)) * 100}%`} height="12" rx="2" />
							</svg>
							<span class="small">{percent(f.share_ratio)}</span>
						</td>
						<td class="num">{plain(f.value)}</td>
						<td class="num">{plain(f.normal)}</td>
						<td class="num drop3">{plain(f.z)}</td>
					</tr>
				))}
			</tbody>
		</table>
	);
}

export function ScorePanel() {
	const score = useSignal<Score | null>(null);
	const says = useSignal('');
	const name = service.value;
	useEffect(() => {
		score.value = null;
		return poll(async (stopped) => {
			const a = await get<List<Score>>('/v1/scores');
			if (stopped())
				return;
			says.value = a.ok ? '' : a.says;
			if (a.ok)
				score.value = a.data.items.find((s) => s.service === name) ?? null;
		});
	}, [name]);
	const s = score.value;
	const wanted = health.value?.detector.baseline ?? 0;
	return (
		<section class="panel" aria-label="Score">
			<h2>Score, now</h2>
			{!s && <p class="soft">{says.value ? <Says of={says.value} /> : 'The detector has not judged this service yet.'}</p>}
			{s && (
				<>
					<p>
						{s.scorer === 'forest' && s.threshold > 0 && <><b>{plain(s.score)}</b> where {plain(s.threshold)} is too much, </>}
						<span class="soft">{SCORERS[s.scorer] ?? s.scorer}</span>{' '}
						{s.anomalous ? <span class="tag failing">▲ anomalous</span> : <span class="tag well">well</span>}
					</p>
					{!s.warm && wanted > 0 && (
						<p class="soft small">
							The model learns: {count(Math.min(wanted, s.baseline_samples ?? 0))} of {count(wanted)} samples of its baseline.
						</p>
					)}
					{s.why && <p class="small"><Says of={s.why} /></p>}
					{s.features?.length ? <Features of={s.features} /> : null}
				</>
			)}
		</section>
	);
}
