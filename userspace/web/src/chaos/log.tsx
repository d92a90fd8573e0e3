// SPDX-License-Identifier: GPL-2.0-or-later
/* What was done and what was answered: here, and by anybody (the daemon's audit). */
import {clock} from '../shared/format.ts';
import {Says} from '../shared/text.tsx';
import {audit, log} from './store.ts';

const GLYPH = {asked: '…', done: '✓', refused: '✕'} as const;
const AUDIT_SHOWN = 30;

export function Log() {
	return (
		<section class="panel" aria-label="Log">
			<h2>Log</h2>
			{!log.value.length && <p class="soft">Nothing was done from this page yet.</p>}
			<ol id="log" class="list log" aria-live="polite">
				{log.value.map((l) => (
					<li key={l.nr} class={l.state}>
						<span class="soft small">{clock(l.at)}</span> <b><Says of={l.what} most={120} /></b>
						<br />
						<span class="answer">{GLYPH[l.state]} <Says of={l.answer} /></span>
					</li>
				))}
			</ol>
			<details>
				<summary>By anybody ({audit.value.length})</summary>
				<ol class="list log">
					{audit.value.slice(0, AUDIT_SHOWN).map((a, k) => (
						<li key={a.seq ?? k}>
							<span class="soft small">{clock(Date.parse(a.at))}</span> <b><Says of={a.actor} most={48} /></b> <Says of={a.event} most={24} />{' '}
							<Says of={a.says} most={240} />
						</li>
					))}
				</ol>
			</details>
		</section>
	);
}
