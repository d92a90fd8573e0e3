// SPDX-License-Identifier: GPL-2.0-or-later
/* The dashboard's frame: header, banner, and the page that is chosen. */
import type {ComponentChildren} from 'preact';
import {token_wanted} from '../shared/api.ts';
import {link} from '../shared/events.ts';
import {clock, instant, span} from '../shared/format.ts';
import {Name, Says} from '../shared/text.tsx';
import {Empty, LinkState, LostNote, now, ThemeButton, TokenForm} from '../shared/ui.tsx';
import {Broken} from './broken.tsx';
import {Incidents} from './incidents.tsx';
import {ServiceMap} from './map.tsx';
import {past} from './past.ts';
import {RangeBar} from './range.tsx';
import {ServiceView} from './service.tsx';
import {headline} from './state.ts';
import {armed, loaded, open_incidents, services, trouble} from './store.ts';
import {ServiceTable} from './table.tsx';
import {live, page, show_incident, show_page, span_s, to_s, type Page} from './view.ts';

function Tab({to, children}: {to: Page; children: ComponentChildren}) {
	return (
		<button type="button" aria-current={page.value === to ? 'page' : undefined} onClick={() => show_page(to)}>
			{children}
		</button>
	);
}

function Header() {
	const open = open_incidents.value.length;
	return (
		<header class="top">
			<h1>archaic-ebpf</h1>
			<nav class="row tight" aria-label="Pages">
				<Tab to="overview">Overview</Tab>
				<Tab to="incidents">Incidents{open > 0 && ` (${open} open)`}</Tab>
			</nav>
			<LinkState />
			{page.value === 'overview' && <RangeBar />}
			<ThemeButton />
		</header>
	);
}

/** Only where there is something to say. */
function Banner() {
	const first = open_incidents.value[0];
	const hurt = armed.value;
	return (
		<>
			{first && (
				<button type="button" class="note failing banner" onClick={() => show_incident(first.id)}>
					<span>
						▲ {open_incidents.value.length} incident{open_incidents.value.length > 1 && 's'}:{' '}
						{first.root_cause ? (
							<>
								<Name of={first.root_cause.service} /> is the cause
								{first.root_cause.resource && <> (<Says of={first.root_cause.resource} most={32} />)</>}
							</>
						) : (
							'the cause is not known yet'
						)}
						; {headline(first)}; open for {span(now.value / 1000 - instant(first.opened_at))} ›
					</span>
				</button>
			)}
			{hurt.length > 0 && (
				<p class="note injected banner">
					⚡ {hurt.length} fault{hurt.length > 1 && 's'} armed:{' '}
					{hurt.slice(0, 4).map((f, k) => (
						<span key={f.id}>
							{k > 0 && ', '}
							<Says of={f.type} most={32} /> on <Name of={f.service} most={32} />
							{f.ends_at && ` (${span(instant(f.ends_at) - now.value / 1000)} left)`}
						</span>
					))}
					{hurt.length > 4 && ' …'}
				</p>
			)}
		</>
	);
}

function PastNote() {
	if (live.value)
		return null;
	return (
		<p class="note banner">
			You look at the past: table and map have each service's means from {clock((to_s.value - span_s.value) * 1000)} to {clock(to_s.value * 1000)}; who
			calls whom is as it is now.
			{past.value.services === null && ' Loading…'}
			{past.value.says && <> Some are missing: <Says of={past.value.says} /></>}
		</p>
	);
}

function Overview() {
	if (!loaded.value)
		return (
			<section class="panel">
				{trouble.value ? (
					<Empty title="The daemon answers, but not with its services">
						<p><Says of={trouble.value} /></p>
					</Empty>
				) : link.value.state === 'lost' ? (
					<Empty title="The daemon does not answer">
						<p>This page tries again by itself. Start it, as root:</p>
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
				<Empty title="No service is watched yet">
					<p>Whatever listens on a port is found by itself within seconds. To name one, or one by process or cgroup:</p>
					<code>sudo archaic-ebpf attach NAME --port 9000</code>
				</Empty>
			</section>
		);
	return (
		<>
			<PastNote />
			<div class="overview">
				<ServiceMap />
				<ServiceTable />
			</div>
			<ServiceView />
		</>
	);
}

export function App() {
	const stale = link.value.state === 'lost' && loaded.value;
	return (
		<>
			<a class="sr skip" href="#main">Skip to the content</a>
			<Header />
			<main id="main" class={stale ? 'stale' : ''}>
				<LostNote />
				<TokenForm />
				{!token_wanted.value && (
					<>
						<Broken />
						<Banner />
						{page.value === 'incidents' ? <Incidents /> : <Overview />}
					</>
				)}
			</main>
		</>
	);
}
