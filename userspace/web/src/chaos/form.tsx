// SPDX-License-Identifier: GPL-2.0-or-later
/* Service, fault, parameters, share, time; what it will do; and the button that does it. */
import {clock} from '../shared/format.ts';
import {Says, tame} from '../shared/text.tsx';
import type {FaultParam, FaultType} from '../shared/types.ts';
import {link} from '../shared/events.ts';
import {now} from '../shared/ui.tsx';
import {arm, chosen, choose_type, duration_s, main_params, params, probes_too, rare_params, service, set_param, share, type, verdict, why_not} from './draft.ts';
import {HoldButton} from './hold.tsx';
import {read_only, services, types} from './store.ts';

const TIMES = [
	{s: 30, name: '30 s'},
	{s: 60, name: '1 min'},
	{s: 300, name: '5 min'},
] as const;
const STEPS = 200;
/* A range that spans more than this is easier on a logarithmic slider. */
const WIDE = 1000;

const SHARE_OF: Readonly<Record<string, string>> = {
	cpu: 'of the time',
	crash: 'chance for each request',
};

/** to_step() and of_step() - between a value and a slider's whole steps. */
export function to_step(p: FaultParam, value: number): number {
	const [min, max] = [p.min ?? 0, p.max ?? 100];
	const part = max / Math.max(min, 1e-9) > WIDE && min > 0 ? Math.log(value / min) / Math.log(max / min) : (value - min) / (max - min);
	return Math.round(STEPS * Math.min(1, Math.max(0, part)));
}

export function of_step(p: FaultParam, step: number): number {
	const [min, max] = [p.min ?? 0, p.max ?? 100];
	const part = step / STEPS;
	const raw = max / Math.max(min, 1e-9) > WIDE && min > 0 ? min * (max / min) ** part : min + part * (max - min);
	/* Two digits are what a thumb means. */
	const round = raw >= 100 && p.kind !== 'integer' ? 10 ** (Math.floor(Math.log10(raw)) - 1) : 1;
	const whole = p.kind === 'integer' || raw >= 10 ? Math.round(raw / round) * round : Math.round(raw * 10) / 10;
	return Math.min(max, Math.max(min, whole));
}

function limits(p: FaultParam): string {
	const unit = p.unit ? ` ${p.unit}` : '';
	if (p.kind === 'names')
		return `${p.min ?? 1} to ${p.max ?? ''} names`;
	return p.min !== undefined && p.max !== undefined && p.max < 1e9 ? `${p.min} to ${p.max}${unit}` : '';
}

function Param({p, rare}: {p: FaultParam; rare: boolean}) {
	const value = params.value[p.name] ?? '';
	const v = verdict.value;
	const wrong = v.state === 'refused' && (v.parameter === p.name || v.parameter === `params.${p.name}`);
	const id = `param-${p.name}`;
	return (
		<div class="field">
			<label for={id}>
				<b>{tame(p.name.replaceAll('_', ' '), 32)}</b> <span class="soft small"><Says of={p.says} most={120} /></span>
			</label>
			<div class="row">
				{p.kind !== 'names' && !rare && (
					<input
						class="grow"
						type="range"
						min={0}
						max={STEPS}
						aria-label={`${p.name}, slider`}
						aria-valuetext={`${value} ${p.unit ?? ''}`}
						value={to_step(p, Number(value) || (p.min ?? 0))}
						onInput={(e) => set_param(p.name, String(of_step(p, Number(e.currentTarget.value))))}
					/>
				)}
				<input
					id={id}
					class={p.kind === 'names' || rare ? 'grow' : 'short'}
					type="text"
					inputMode={p.kind === 'names' ? 'text' : 'decimal'}
					autocomplete="off"
					autocapitalize="off"
					spellcheck={false}
					maxLength={p.kind === 'names' ? 240 : 20}
					placeholder={p.kind === 'names' ? 'name, price' : rare ? 'not given' : ''}
					aria-invalid={wrong}
					aria-describedby={`${id}-limits`}
					value={value}
					onInput={(e) => set_param(p.name, e.currentTarget.value)}
				/>
				{p.unit && <span>{p.unit}</span>}
			</div>
			<span id={`${id}-limits`} class="soft small">{limits(p)}</span>
		</div>
	);
}

function Share({t}: {t: FaultType}) {
	return (
		<div class="field">
			<label for="share"><b>share</b> <span class="soft small">{SHARE_OF[t.type] ?? 'of the requests, drawn for each'}</span></label>
			<div class="row">
				<input
					id="share"
					class="grow"
					type="range"
					min={1}
					max={100}
					aria-valuetext={`${share.value} %`}
					value={share.value}
					onInput={(e) => {
						share.value = Number(e.currentTarget.value);
					}}
				/>
				<output class="short" for="share">{share.value} %</output>
			</div>
		</div>
	);
}

function Duration() {
	return (
		<div class="field" role="group" aria-labelledby="for-label">
			<label id="for-label" for="for"><b>for</b> <span class="soft small">then it ends by itself</span></label>
			<div class="row">
				{TIMES.map((t) => (
					<button
						key={t.s}
						type="button"
						aria-pressed={duration_s.value === String(t.s)}
						onClick={() => {
							duration_s.value = String(t.s);
						}}
					>
						{t.name}
					</button>
				))}
				<input
					id="for"
					class="short"
					type="text"
					inputMode="decimal"
					autocomplete="off"
					maxLength={8}
					value={duration_s.value}
					onInput={(e) => {
						duration_s.value = e.currentTarget.value;
					}}
				/>
				<span>s</span>
			</div>
		</div>
	);
}

function Verdict() {
	const v = verdict.value;
	if (v.state === 'ok')
		return (
			<p id="says" class="note injected">
				<Says of={v.fault.says} />.
				{v.fault.remaining_s ? ` Armed now, it ends at ${clock(now.value + v.fault.remaining_s * 1000)}.` : ''}
			</p>
		);
	if (v.state === 'asking')
		return <p id="says" class="note soft">Asking what this would do…</p>;
	return <p id="says" class={`note ${v.state === 'refused' ? 'failing' : ''}`}><Says of={v.says} /></p>;
}

function Choices() {
	const list = [...services.value].sort((a, b) => (a.name < b.name ? -1 : 1));
	return (
		<div class="row pair">
			<label class="field grow">
				<b>service</b>
				<select
					id="service"
					value={service.value}
					onChange={(e) => {
						service.value = e.currentTarget.value;
					}}
				>
					{list.map((s) => (
						<option key={s.name} value={s.name}>{tame(s.name, 48)}</option>
					))}
				</select>
			</label>
			<label class="field grow">
				<b>fault</b>
				<select id="fault" value={type.value} onChange={(e) => choose_type(e.currentTarget.value)}>
					{types.value.map((t) => {
						const why = why_not(t);
						return (
							<option key={t.type} value={t.type} disabled={why !== ''}>
								{tame(t.type, 32)}{why && `: ${tame(why, 60)}`}
							</option>
						);
					})}
				</select>
			</label>
		</div>
	);
}

export function FaultForm() {
	const t = chosen.value;
	const ready = verdict.value.state === 'ok' && link.value.state === 'live' && !read_only.value;
	const impossible = types.value.filter((x) => why_not(x));
	return (
		<section class="panel form" id="form" aria-label="Hurt a service">
			<Choices />
			{t && <p class="soft"><Says of={t.says} /></p>}
			{t && main_params(t).map((p) => <Param key={t.type + p.name} p={p} rare={false} />)}
			{t && <Share t={t} />}
			<Duration />
			{t && (
				<details>
					<summary>More</summary>
					{rare_params(t).map((p) => <Param key={t.type + p.name} p={p} rare />)}
					<label class="row check">
						<input
							type="checkbox"
							checked={probes_too.value}
							onChange={(e) => {
								probes_too.value = e.currentTarget.checked;
							}}
						/>
						hurt liveness probes too
					</label>
					{impossible.map((x) => (
						<p key={x.type} class="soft small"><Says of={x.type} most={32} /> is not to be had here: <Says of={why_not(x)} most={160} /></p>
					))}
				</details>
			)}
			<Verdict />
			<HoldButton label="Hold to arm" disabled={!ready} action={() => void arm()} describedby="says" />
			<p class="soft small center">held for 0.6 s; by keyboard, Enter twice</p>
		</section>
	);
}
