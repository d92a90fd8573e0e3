// SPDX-License-Identifier: GPL-2.0-or-later
/* The range of time: preset spans, back and forth, in and out, and to now with one click. */
import {clock, span} from '../shared/format.ts';
import {now} from '../shared/ui.tsx';
import {go_live, live, pan, SPANS, span_s, to_s, zoom} from './view.ts';

export function RangeBar() {
	const to = to_s.value;
	const from = (to || now.value / 1000) - span_s.value;
	return (
		<div class="row range" role="group" aria-label="Range of time">
			<div class="row tight">
				{SPANS.map((s) => (
					<button
						key={s.s}
						type="button"
						aria-label={`${s.name}: the last ${s.words}`}
						aria-pressed={span_s.value === s.s}
						onClick={() => {
							span_s.value = s.s;
						}}
					>
						{s.name}
					</button>
				))}
			</div>
			<div class="row tight">
				<button type="button" aria-label="Earlier" onClick={() => pan(-0.5)}>⟨</button>
				<button type="button" aria-label="Later" disabled={live.value} onClick={() => pan(0.5)}>⟩</button>
				<button type="button" aria-label="Zoom in: a shorter range" onClick={() => zoom(0.5)}>+</button>
				<button type="button" aria-label="Zoom out: a longer range" onClick={() => zoom(2)}>−</button>
				<button type="button" aria-pressed={live.value} onClick={go_live}>▸ live</button>
			</div>
			<span class="small soft">
				{live.value ? `the last ${span(span_s.value)}` : `${clock(from * 1000)} to ${clock(to * 1000)} (${span(span_s.value)})`}
			</span>
		</div>
	);
}
