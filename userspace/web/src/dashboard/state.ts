// SPDX-License-Identifier: GPL-2.0-or-later
/* How a service is, in one word each: shared by map, table and service view. */
import {armed, incidents, open_incidents} from './store.ts';
import type {Incident, Service} from '../shared/types.ts';

export interface Word {
	kind: 'well' | 'warning' | 'failing' | 'injected';
	glyph: string;
	text: string;
}

const REPAIRING = ['acting', 'verifying'];
export const ERRORS_BAD = 0.05;

/** words_of() - what is true of @s now, worst first; empty: well. */
export function words_of(s: Service): Word[] {
	const words: Word[] = [];
	if (s.anomalous)
		words.push({kind: 'failing', glyph: '▲', text: 'anomalous'});
	for (const f of armed.value)
		if (f.service === s.name)
			words.push({kind: 'injected', glyph: '⚡', text: f.type.slice(0, 16)});
	for (const i of open_incidents.value) {
		if (i.root_cause?.service === s.name)
			words.push({kind: 'failing', glyph: '◆', text: 'root cause'});
		else if (i.victims.includes(s.name))
			words.push({kind: 'warning', glyph: '▽', text: 'victim'});
		if (REPAIRING.includes(i.state) && i.root_cause?.service === s.name)
			words.push({kind: 'warning', glyph: '⟳', text: 'repairing'});
		if (i.state === 'awaiting_approval' && i.root_cause?.service === s.name)
			words.push({kind: 'warning', glyph: '?', text: 'needs approval'});
	}
	return words;
}

/** headline() - an incident in a line. */
export function headline(i: Incident): string {
	const state: Record<string, string> = {
		open: 'looking for the cause',
		planned: 'a repair is planned',
		awaiting_approval: 'a repair waits for your approval',
		acting: 'repairing…',
		verifying: 'repaired, verifying…',
		repaired: 'repaired',
		escalated: 'a person is needed',
		closed: 'closed',
	};
	return state[i.state] ?? i.state;
}

/** state_kind() - which of the four meanings an incident's state has. */
export function state_kind(i: Incident): Word['kind'] | '' {
	if (i.state === 'repaired')
		return 'well';
	if (i.state === 'escalated')
		return 'failing';
	return i.state === 'closed' ? '' : 'warning';
}

export const find_incident = (id: string) => incidents.value.find((i) => i.id === id);
