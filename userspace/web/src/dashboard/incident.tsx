// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One incident: what happened when, on what evidence, who is to blame and why,
 * what is planned, whether the guard allows it, and what came of it.
 */
import {useSignal} from '@preact/signals';
import type {ComponentChildren} from 'preact';
import {clock, percent, plain, seconds, span, instant} from '../shared/format.ts';
import {Name, Says} from '../shared/text.tsx';
import type {Action, Cause, Evidence, Incident} from '../shared/types.ts';
import {Decide} from './decide.tsx';
import {save_report} from './report.ts';
import {StateTag} from './incidents.tsx';
import {set_range, show_service} from './view.ts';

const EVENT_WORDS: Record<string, string> = {
	action_started: 'action',
	action_done: 'action done',
};
const EVENT_GLYPHS: Record<string, string> = {
	onset: '▼', anomaly: '▲', diagnosis: '◆', plan: '✎', guard: '▣', approved: '✓', rejected: '✕', action_started: '●',
	action_done: '●', recovered: '✓', verified: '✓', healed: '✓', failed: '✕', escalated: '!', closed: '–',
};

function Part({title, children}: {title: string; children: ComponentChildren}) {
	return (
		<section class="part" aria-label={title}>
			<h3>{title}</h3>
			{children}
		</section>
	);
}

function Reasons({of}: {of: Cause}) {
	return (
		<ul class="reasons">
			{of.reasons.map((r, k) => (
				<li key={k}><Says of={r} /></li>
			))}
		</ul>
	);
}

function Causes({i}: {i: Incident}) {
	const root = i.root_cause;
	const others = i.causes.filter((c) => c.service !== root?.service || c.resource !== root?.resource);
	return (
		<Part title="Causes, ranked">
			{!root && <p>Not known{i.causes.length ? ': the evidence does not carry one name.' : ' yet.'}</p>}
			<ol class="causes">
				{[...(root ? [root] : []), ...others].map((c, k) => (
					<li key={`${c.service}${c.resource}${k}`}>
						<p class="row">
							<span aria-hidden="true">{k + 1}.</span> <b><Name of={c.service} /></b>
							{c.resource && <Says of={c.resource} most={32} />}
							<meter min={0} max={1} value={c.confidence} aria-label="confidence" />
							<span class="small">{percent(c.confidence)} confident</span>
							{c === root && <span class="tag failing"><span aria-hidden="true">◆</span> root cause</span>}
						</p>
						<Reasons of={c} />
					</li>
				))}
			</ol>
			{i.victims.length > 0 && (
				<p>
					Victims: {i.victims.map((v, k) => (
						<span key={v}>{k > 0 && ', '}<Name of={v} /></span>
					))}
				</p>
			)}
		</Part>
	);
}

function Timeline({i}: {i: Incident}) {
	return (
		<Part title="Timeline">
			<ol class="timeline">
				{i.timeline.map((e, k) => (
					<li key={k} class={`event ${e.event.replace(/[^a-z_]/g, '')}`}>
						<span class="num small">+{seconds(e.since_onset_s)}</span>
						<span class="glyph" aria-hidden="true">{EVENT_GLYPHS[e.event] ?? '·'}</span>
						<span>
							<b>{EVENT_WORDS[e.event] ?? <Says of={e.event} most={32} />}</b> <span class="small soft">{clock(Date.parse(e.at))}</span>
							<br />
							<Says of={e.text} />
						</span>
					</li>
				))}
			</ol>
		</Part>
	);
}

function EvidenceTable({i}: {i: Incident}) {
	const list = (i.evidence ?? []) as Evidence[];
	if (!list.length)
		return null;
	return (
		<Part title="Evidence">
			<div class="scroll" tabIndex={0} role="group" aria-label="Table of evidence">
				<table>
					<thead>
						<tr>
							<th scope="col">Service</th>
							<th scope="col">What</th>
							<th scope="col" class="num">Score</th>
							<th scope="col" class="num">Limit</th>
							<th scope="col" class="num drop1">Now</th>
							<th scope="col" class="num drop1">Normal</th>
						</tr>
					</thead>
					<tbody>
						{list.map((e, k) => (
							<tr key={e.id ?? k}>
								<th scope="row"><Name of={e.service} /></th>
								<td>
									<Says of={e.text} most={200} /> <span class="small soft">{clock(Date.parse(e.at ?? ''))}, <Says of={e.scorer ?? e.source} most={32} /></span>
								</td>
								<td class="num">{plain(e.threshold ? e.score : null)}</td>
								<td class="num">{plain(e.threshold || null)}</td>
								<td class="num drop1">{plain(e.value)}</td>
								<td class="num drop1">{plain(e.normal)}</td>
							</tr>
						))}
					</tbody>
				</table>
			</div>
		</Part>
	);
}

function Outcome({i}: {i: Incident}) {
	const actions = (i.actions ?? []) as Action[];
	const v = i.verification as {result?: string; after_s?: number | null} | null | undefined;
	if (!actions.length && !v)
		return null;
	return (
		<Part title="What was done">
			<ul class="reasons">
				{actions.map((a, k) => (
					<li key={k}>
						<b><Says of={a.kind} most={32} /></b> of <Name of={a.target} />, {clock(Date.parse(a.started_at ?? ''))}: <Says of={a.result} />
						{a.undo && <span class="soft"> To undo it: <Says of={a.undo} /></span>}
					</li>
				))}
			</ul>
			{v && (
				<p>
					Verification: <b><Says of={v.result} most={32} /></b>
					{v.after_s !== null && v.after_s !== undefined && `, ${seconds(v.after_s)} after the action`}
				</p>
			)}
		</Part>
	);
}

export function IncidentView({i}: {i: Incident}) {
	const says = useSignal('');
	const root = i.root_cause?.service ?? (i.evidence?.[0] as Evidence | undefined)?.service;
	const from = instant(i.timeline[0]?.at ?? i.opened_at);
	const to = i.closed_at ? instant(i.closed_at) : Date.now() / 1000;
	const look = () => {
		if (!root)
			return;
		const slack = Math.max(30, (to - from) / 2);
		show_service(root);
		set_range(from - slack, i.closed_at ? to + slack : to);
	};
	return (
		<article class="panel incident" aria-label={`Incident ${i.id}`}>
			<div class="row head">
				<h2 class="grow">Incident <Says of={i.id} most={32} /></h2>
				{root && <button type="button" onClick={look}>Charts of <Name of={root} most={20} /></button>}
				<button
					type="button"
					onClick={async () => {
						says.value = await save_report(i.id);
					}}
				>
					Export (Markdown)
				</button>
			</div>
			{says.value && <p class="note" role="status"><Says of={says.value} /></p>}
			<p class="row">
				<StateTag of={i} />
				<span>
					{clock(Date.parse(i.opened_at))}{i.closed_at ? ` to ${clock(Date.parse(i.closed_at))}` : ', still open'}, {span(to - instant(i.opened_at))}
				</span>
			</p>
			<Decide i={i} />
			<div class="parts">
				<div>
					<Causes i={i} />
					<Outcome i={i} />
				</div>
				<Timeline i={i} />
			</div>
			<EvidenceTable i={i} />
		</article>
	);
}
