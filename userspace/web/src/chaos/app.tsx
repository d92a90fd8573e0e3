// SPDX-License-Identifier: GPL-2.0-or-later
/* Chaos control's frame. Reset all stands at the top of every state, and tries even without a connection. */
import {signal} from '@preact/signals';
import {remove, token_wanted} from '../shared/api.ts';
import {link} from '../shared/events.ts';
import {Says} from '../shared/text.tsx';
import type {Fault, List} from '../shared/types.ts';
import {Empty, LinkState, LostNote, ThemeButton, TokenForm} from '../shared/ui.tsx';
import {ArmedList} from './armed.tsx';
import {FaultForm} from './form.tsx';
import {Loads} from './loads.tsx';
import {Log} from './log.tsx';
import {Quick} from './quick.tsx';
import {act, armed, loaded, load_faults, log, put_fault, read_only, services, trouble} from './store.ts';

const resetting = signal(false);

async function reset_all(): Promise<void> {
	resetting.value = true;
	const a = await act('reset all', () => remove<List<Fault>>('/v1/faults'), (d) =>
		d.items.length ? `${d.items.length} fault${d.items.length > 1 ? 's' : ''} ended: ${d.items.map((f) => `${f.type} on ${f.service}`).join(', ')}.` : 'Nothing was armed.',
	);
	if (a.ok)
		a.data.items.forEach(put_fault);
	await load_faults();
	resetting.value = false;
}

/** The last thing that was done, and its answer: where the thumb just was. */
function LastAnswer() {
	const last = log.value[0];
	if (!last)
		return null;
	const kind = last.state === 'done' ? 'well' : last.state === 'refused' ? 'failing' : '';
	return (
		<p class={`note last ${kind}`} role={last.state === 'refused' ? 'alert' : 'status'}>
			<b><Says of={last.what} most={80} /></b>: <Says of={last.answer} />
		</p>
	);
}

function Header() {
	return (
		<header class="top">
			<h1>chaos</h1>
			<span class="grow"><LinkState /></span>
			<ThemeButton />
			<button type="button" class="reset" disabled={resetting.value} onClick={() => void reset_all()}>
				■ Reset all{armed.value.length > 0 && ` (${armed.value.length})`}
			</button>
		</header>
	);
}

function Body() {
	if (!loaded.value)
		return (
			<section class="panel">
				{trouble.value ? (
					<Empty title="The daemon does not tell what can be hurt">
						<p><Says of={trouble.value} /></p>
					</Empty>
				) : link.value.state === 'lost' ? (
					<Empty title="The daemon does not answer">
						<p>Without it nothing is armed: the kernel ends every fault with the daemon. Start it, as root:</p>
						<code>archaic-ebpf run</code>
					</Empty>
				) : (
					<p class="empty" role="status">Asking the daemon…</p>
				)}
			</section>
		);
	if (!services.value.length)
		return (
			<section class="panel">
				<Empty title="There is no service to hurt yet">
					<p>Whatever listens on a port is found within seconds. To name one:</p>
					<code>sudo archaic-ebpf attach NAME --port 9000</code>
				</Empty>
			</section>
		);
	return (
		<fieldset disabled={link.value.state !== 'live'} class={link.value.state === 'lost' ? 'stale' : ''}>
			<legend class="sr">Chaos control</legend>
			<div class="columns">
				<div>
					{read_only.value && <p class="note warning"><b>Read only.</b> <Says of={read_only.value} /></p>}
					<FaultForm />
					<Quick />
				</div>
				<div>
					<ArmedList />
					<Loads />
				</div>
				<div>
					<Log />
				</div>
			</div>
		</fieldset>
	);
}

export function App() {
	return (
		<>
			<Header />
			<main>
				<LostNote />
				<LastAnswer />
				<TokenForm />
				{!token_wanted.value && <Body />}
			</main>
		</>
	);
}
