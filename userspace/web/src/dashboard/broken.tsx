// SPDX-License-Identifier: GPL-2.0-or-later
/* What this kernel or configuration lacks, in the daemon's own sentences, and what to do about it. */
import {useSignal} from '@preact/signals';
import {get} from '../shared/api.ts';
import {Says} from '../shared/text.tsx';
import type {DoctorItem, List} from '../shared/types.ts';
import {health} from './store.ts';

const LEVELS = [
	'All works.',
	'Some detail is missing.',
	'CPU, run queue or requests in flight are missing.',
	'Nothing is observed.',
];

export function Broken() {
	const items = useSignal<DoctorItem[] | null>(null);
	const says = useSignal('');
	const h = health.value;
	const model_off = h !== null && h.operator.planner === 'playbook';
	if (!h)
		return null;
	const ask = async () => {
		const a = await get<List<DoctorItem>>('/v1/doctor');
		says.value = a.ok ? '' : a.says;
		if (a.ok)
			items.value = a.data.items;
	};
	const level = h.degradation_level;
	return (
		<details
			class={`note banner ${level >= 3 ? 'failing' : level > 0 ? 'warning' : 'quiet'}`}
			onToggle={(e) => {
				if (e.currentTarget.open && !items.value)
					void ask();
			}}
		>
			<summary>
				{level > 0 ? <b>{LEVELS[level]}</b> : 'The daemon sees everything'} · mode {h.mode}
				{model_off && ' · model off: the built-in playbook plans'}
				{!h.detector.warm && h.detector.services.length > 0 && ' · the detector still learns: static limits apply'}
			</summary>
			{h.lacks.map((l) => (
				<p key={l}><Says of={l} /></p>
			))}
			{says.value && <p><Says of={says.value} /></p>}
			{items.value && (
				<ul class="doctor">
					{items.value.map((d) => (
						<li key={`${d.area}${d.name}`}>
							<span class={`tag ${d.ok ? 'well' : 'warning'}`}>{d.ok ? '✓ works' : '! lacks'}</span> <b><Says of={`${d.area ?? ''} ${d.name}`} most={60} /></b>{' '}
							<Says of={d.says} /> {d.advice && <b><Says of={d.advice} /></b>}
						</li>
					))}
				</ul>
			)}
		</details>
	);
}
