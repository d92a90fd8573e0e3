// SPDX-License-Identifier: GPL-2.0-or-later
/* All incidents, newest first, and the one that is chosen. */
import {useEffect} from 'preact/hooks';
import {clock, instant, span} from '../shared/format.ts';
import {Name, Says} from '../shared/text.tsx';
import {is_open, type Incident} from '../shared/types.ts';
import {Empty, now} from '../shared/ui.tsx';
import {IncidentView} from './incident.tsx';
import {health, incidents, load_incidents, loaded} from './store.ts';
import {find_incident, headline, state_kind} from './state.ts';
import {incident as chosen, show_incident} from './view.ts';

const GLYPH: Record<string, string> = {repaired: '✓', closed: '–', escalated: '!'};

export function StateTag({of}: {of: Incident}) {
	return (
		<span class={`tag ${state_kind(of)}`}>
			<span aria-hidden="true">{GLYPH[of.state] ?? '▲'}</span> {headline(of)}
		</span>
	);
}

function Item({i}: {i: Incident}) {
	const end = i.closed_at ? instant(i.closed_at) : now.value / 1000;
	return (
		<li>
			<button type="button" class="item" aria-current={chosen.value === i.id ? 'true' : undefined} onClick={() => show_incident(i.id)}>
				<span class="row">
					<b class="grow">
						{i.root_cause ? <Name of={i.root_cause.service} /> : 'cause unknown'}
						{i.root_cause?.resource && <span> · <Says of={i.root_cause.resource} most={32} /></span>}
					</b>
					<span class="small"><Says of={i.id} most={32} /></span>
				</span>
				<span class="row">
					<StateTag of={i} />
					<span class="small grow">
						{clock(Date.parse(i.opened_at))}, {span(end - instant(i.opened_at))}
						{is_open(i) && ' so far'}
					</span>
				</span>
			</button>
		</li>
	);
}

export function Incidents() {
	useEffect(() => {
		void load_incidents();
	}, []);
	const list = incidents.value;
	const one = chosen.value ? find_incident(chosen.value) : list[0];
	if (loaded.value && !list.length && !chosen.value)
		return (
			<section class="panel">
				<Empty title="No incident, as far as the daemon remembers">
					<p>
						One is opened when a service becomes unlike its baseline.
						{health.value && ` The daemon's mode is ${health.value.mode}.`}
					</p>
					<p>To see one, hurt a service:</p>
					<code>archaic-ebpf inject SERVICE timeout --delay-ms 2000 --duration 60s</code>
				</Empty>
			</section>
		);
	return (
		<div class="incidents">
			<nav class="panel" aria-label="Incidents">
				<h2>Incidents</h2>
				<ul>
					{list.map((i) => (
						<Item key={i.id} i={i} />
					))}
				</ul>
			</nav>
			{one ? (
				<IncidentView key={one.id} i={one} />
			) : (
				<section class="panel">
					{loaded.value ? (
						<Empty title="This incident is not among the newest">
							<p>
								<Name of={chosen.value} /> may be older than what this page lists: archaic-ebpf incidents {'ID'} shows it.
							</p>
						</Empty>
					) : (
						<p class="empty" role="status">Loading…</p>
					)}
				</section>
			)}
		</div>
	);
}
