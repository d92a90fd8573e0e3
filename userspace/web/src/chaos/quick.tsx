// SPDX-License-Identifier: GPL-2.0-or-later
/* Three that are wanted most: one tap fills the form and shows what it would do; arming stays a hold. */
import {preset, service} from './draft.ts';
import {services} from './store.ts';

const fill = (name: string, p: Omit<Parameters<typeof preset>[0], 'service'>) => {
	preset({...p, service: name});
	document.getElementById('form')?.scrollIntoView({block: 'start'});
};

export function Quick() {
	/* A database by its name: db, db-service, orders-db. */
	const db = services.value.find((s) => /(^|[^a-z])db([^a-z]|$)/i.test(s.name))?.name;
	const target = service.value;
	return (
		<section class="panel" aria-label="Quick actions">
			<h2>Quick actions</h2>
			<p class="soft small">Each fills the form; look at what it says, then hold to arm.</p>
			<div class="row thirds">
				<button type="button" disabled={!target} onClick={() => fill(target, {type: 'error', params: {status: '503'}, share: 50, duration_s: 30})}>
					Error storm
				</button>
				<button type="button" disabled={!target} onClick={() => fill(target, {type: 'timeout', params: {delay_ms: '2000'}, share: 100, duration_s: 60})}>
					High latency
				</button>
				<button type="button" disabled={!db} onClick={() => db && fill(db, {type: 'crash', params: {}, share: 100, duration_s: 30})}>
					Kill db
				</button>
			</div>
		</section>
	);
}
