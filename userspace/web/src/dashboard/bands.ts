// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What lies behind the lines: armed faults (hatched), incidents (solid), and
 * marks for onset, diagnosis, action and recovery. Times in seconds since 1970.
 */
import {instant} from '../shared/format.ts';
import type {Fault, Incident} from '../shared/types.ts';

export interface Band {
	kind: 'fault' | 'incident';
	from: number;
	to: number; /* Infinity: goes on */
	label: string;
}

export interface Mark {
	at: number;
	glyph: string;
	label: string;
}

/* Events of an incident's timeline that are worth a mark; glyphs differ in shape, not in colour alone. */
const MARKS: Readonly<Record<string, {glyph: string; label: string}>> = {
	onset: {glyph: '▼', label: 'onset'},
	diagnosis: {glyph: '◆', label: 'diagnosis'},
	action_started: {glyph: '●', label: 'action'},
	recovered: {glyph: '✓', label: 'recovery'},
	healed: {glyph: '✓', label: 'recovery'},
};
export const MARK_WORDS = '▼ onset, ◆ diagnosis, ● action, ✓ recovery';

export function concerns(i: Incident, service: string): boolean {
	return i.root_cause?.service === service || i.victims.includes(service) ||
		(i.evidence ?? []).some((e) => (e as {service?: unknown}).service === service);
}

function onset(i: Incident): number {
	const first = i.timeline.find((e) => e.event === 'onset') ?? i.timeline[0];
	const at = instant(first?.at);
	return Number.isFinite(at) ? at : instant(i.opened_at);
}

/** bands_of() - of the service's own faults, and of the incidents that it is part of. */
export function bands_of(service: string, faults: readonly Fault[], incidents: readonly Incident[]): Band[] {
	const bands: Band[] = [];
	for (const f of faults) {
		const from = instant(f.armed_at);
		if (f.service !== service || !Number.isFinite(from))
			continue;
		const to = f.state === 'armed' ? Infinity : instant(f.ends_at);
		bands.push({kind: 'fault', from, to: Number.isFinite(to) || to === Infinity ? to : from + 1, label: `fault ${f.type}`});
	}
	for (const i of incidents) {
		if (!concerns(i, service))
			continue;
		const to = i.closed_at ? instant(i.closed_at) : Infinity;
		bands.push({kind: 'incident', from: onset(i), to, label: `incident ${i.id}`});
	}
	return bands;
}

export function marks_of(service: string, incidents: readonly Incident[]): Mark[] {
	const marks: Mark[] = [];
	for (const i of incidents) {
		if (!concerns(i, service))
			continue;
		const seen = new Set<string>();
		for (const e of i.timeline) {
			const mark = MARKS[e.event];
			const at = instant(e.at);
			/* The first of its kind: an action tried three times is one mark and three lines in the incident. */
			if (!mark || seen.has(mark.label) || !Number.isFinite(at))
				continue;
			seen.add(mark.label);
			marks.push({at, ...mark});
		}
	}
	return marks;
}
