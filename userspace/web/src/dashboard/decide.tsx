// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The plan, the guard's verdict, and a person's yes or no. What will happen
 * stands above the buttons; what came of it is the daemon's own answer.
 */
import {useSignal} from '@preact/signals';
import {post} from '../shared/api.ts';
import {link} from '../shared/events.ts';
import {plain} from '../shared/format.ts';
import {Name, Says} from '../shared/text.tsx';
import {is_open, type Incident, type Plan} from '../shared/types.ts';
import {put_incident} from './store.ts';

const WHY_MAX = 199;

function PlanText({plan}: {plan: Plan}) {
	const a = plan.action;
	return (
		<>
			{a ? (
				<p>
					<b><Says of={a.kind} most={32} /></b> of <b><Name of={a.target} /></b>
					{' · '}
					{a.reversible ? 'can be undone' : 'cannot be undone'} · risk {plain(a.risk)} of 3
				</p>
			) : (
				<p>No action.</p>
			)}
			{a?.expected && <p>Expected: <Says of={a.expected} /></p>}
			{a?.undo && <p>To undo it: <Says of={a.undo} /></p>}
			{plan.why && <p>Why: <Says of={plan.why} /></p>}
			<p class="soft small">
				planned by <Says of={plan.by} most={32} />
				{plan.model && <> (<Says of={plan.model} most={64} />)</>}
				{plan.fell_back_because && <>; fell back because <Says of={plan.fell_back_because} /></>}
			</p>
		</>
	);
}

export function Decide({i}: {i: Incident}) {
	const why = useSignal('');
	const busy = useSignal(false);
	const says = useSignal<{ok: boolean; text: string} | null>(null);
	const plan = i.plan as Plan | null | undefined;
	const guard = i.guard as {allowed?: boolean; why?: string} | null | undefined;
	const waits = i.state === 'awaiting_approval';
	const send = async (verb: 'approve' | 'reject', body: unknown) => {
		busy.value = true;
		const a = await post<Incident>(`/v1/incidents/${encodeURIComponent(i.id)}/${verb}`, body);
		busy.value = false;
		if (a.ok)
			put_incident(a.data);
		says.value = a.ok
			? {ok: true, text: verb === 'approve' ? 'Approved: it is being carried out.' : 'Rejected: a person takes it over.'}
			: {ok: false, text: `Not done. ${a.says}`};
	};
	if (!plan && !guard)
		return null;
	const off = busy.value || link.value.state !== 'live';
	return (
		<section class={`decide note ${waits ? 'warning' : ''}`} aria-label="Plan">
			<h3>{waits ? 'This repair waits for you' : 'Plan'}</h3>
			{plan && <PlanText plan={plan} />}
			{guard && (
				<p>
					Guard: <b>{guard.allowed ? 'allowed' : 'not by itself'}</b>, <Says of={guard.why} />
				</p>
			)}
			{waits && (
				<div class="row">
					<button
						type="button"
						class="yes"
						disabled={off}
						onClick={() => void send('approve', plan?.action?.id ? {action: plan.action.id} : {})}
					>
						✓ Approve
					</button>
					<button type="button" class="no" disabled={off} onClick={() => void send('reject', why.value.trim() ? {why: why.value.trim()} : {})}>
						✕ Reject
					</button>
					<label class="row grow">
						<span class="small">because</span>
						<input
							class="grow"
							type="text"
							maxLength={WHY_MAX}
							placeholder="optional, kept in the record"
							value={why.value}
							onInput={(e) => {
								why.value = e.currentTarget.value;
							}}
						/>
					</label>
				</div>
			)}
			{says.value && is_open(i) && <p class={says.value.ok ? '' : 'note failing'} role="status"><Says of={says.value.text} /></p>}
		</section>
	);
}
