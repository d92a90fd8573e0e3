// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Names and paths that strangers chose change nothing: real requests with such
 * paths, a real process with such a name, and, since the daemon cleans what it
 * finds, answers of its own with worse put in on their way.
 */
import {spawn} from 'node:child_process';
import {connect} from 'node:net';
import {expect, test} from '../lib/fixtures.ts';
import {cut} from '../lib/looks.ts';
import {api, pause, until} from '../lib/world.ts';

test.use({options: ['--mode', 'observe', '--discover=yes', '--slow', '50ms']});

const MARKUP = '<script>window.hurt=1</script><img src=x onerror=window.hurt=1>';
const RTL = '\u202egnp.exe\u202c\u200f\u2066';
const LONG = 'x'.repeat(10_240);

/** What a page that was changed would show: elements, globals, or a page of another shape. */
const unchanged = (page: import('@playwright/test').Page) =>
	page.evaluate(() => ({
		hurt: (globalThis as {hurt?: unknown}).hurt ?? null,
		scripts: document.querySelectorAll('script').length,
		images: document.querySelectorAll('img, iframe, object, embed').length,
	}));
const CLEAN = {hurt: null, scripts: 1, images: 0};

function send_raw(path: string): Promise<void> {
	return new Promise((done) => {
		const s = connect(8002, '127.0.0.1', () => s.write(Buffer.from(`GET ${path} HTTP/1.1\r\nHost: db\r\nConnection: close\r\n\r\n`, 'utf8')));
		s.on('data', () => undefined);
		s.on('error', () => done());
		s.on('close', () => done());
	});
}

test('hostile paths in real requests', async ({dashboard}) => {
	await api('POST', '/v1/faults', {service: 'db', type: 'timeout', params: {delay_ms: 200}, duration_s: 60});
	const send_all = async () => {
		for (const path of [`/${MARKUP.replaceAll(' ', '/')}`, `/${RTL}`, `/${LONG.slice(0, 6000)}`, '/%3Cscript%3E%00%ff'])
			await send_raw(path);
	};
	await send_all();
	const seen = await until('the daemon kept one', 20_000, async () => {
		const {body} = await api('GET', '/v1/requests?service=db&limit=1000');
		return body.items.find((r: {path: string}) => r.path.includes('<script>'));
	});
	expect(seen.path).toContain('<script>');
	await dashboard.goto('/#service=db');
	await dashboard.getByRole('button', {name: 'All sampled'}).click();
	/* The list holds the newest: they are sent again while it is looked at. */
	await expect
		.poll(async () => {
			await send_all();
			return dashboard.locator('.requests').innerText();
		})
		.toContain('<script>window.hurt=1</script>');
	expect(await unchanged(dashboard)).toEqual(CLEAN);
	expect(await cut(dashboard)).toEqual([]);
});

test('a process with a hostile name', async ({dashboard, phone}) => {
	const program = `import ctypes, socket, time
ctypes.CDLL(None).prctl(15, b"<b>\\xe2\\x80\\xaeevil", 0, 0, 0)
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 9911)); s.listen()
time.sleep(60)`;
	const child = spawn('python3', ['-c', program], {stdio: 'ignore'});
	try {
		await until('it is found', 30_000, async () =>
			(await api('GET', '/v1/services')).body.items.find((s: {ports: number[]}) => s.ports.includes(9911)),
		);
		await dashboard.goto('/');
		await phone.goto('/');
		await expect(dashboard.locator('.table')).toContainText('9911');
		await expect(phone.locator('#service option', {hasText: '9911'})).toBeAttached();
		for (const page of [dashboard, phone])
			expect(await unchanged(page)).toEqual(CLEAN);
	} finally {
		child.kill('SIGKILL');
	}
});

for (const [what, name] of [['markup', MARKUP], ['right-to-left marks', RTL], ['10 kB', LONG], ['quotes', `"'\`\${1}]]>--><!--`]] as const)
	test(`a service named with ${what}, had the daemon let it through`, async ({dashboard, phone}) => {
		const evil = {
			name, namespace: name, source: 'port', ports: [1], rate_per_s: 3, error_ratio: 0.5, latency_ms: {p50: 1, p90: 2, p99: 3},
			self_ms: {mean: 1}, cpu_cores: 0, runqueue_ms: {p95: 0}, score: 0.9, threshold: 0.5, anomalous: true, why: name, faults: [],
		};
		const edge = {client: name, server: name === LONG ? 'db' : name, rate_per_s: 1, error_ratio: 0, at_server: {requests: 1, error_ratio: 0}, at_client: {requests: 1, error_ratio: 0}};
		const fault = {id: 'f-evil', type: name, service: name, params: {}, probability: 1, state: 'armed', says: name, armed_at: new Date().toISOString(), ends_at: null, touched: {requests: 1}, spared: {requests: 1}};
		const incident = {
			id: 'i-evil', state: 'awaiting_approval', opened_at: new Date().toISOString(), closed_at: null,
			root_cause: {service: name, resource: 'latency', confidence: 1, reasons: [name]}, causes: [{service: name, resource: 'x', confidence: 1, reasons: [name]}],
			victims: [name], evidence: [{service: name, text: name}], plan: {by: name, action: {kind: name, target: name}, why: name}, guard: {allowed: false, why: name},
			actions: [{kind: name, target: name, result: name}], verification: null, timeline: [{at: new Date().toISOString(), event: name, text: name}],
		};
		const sample = `id: 1\nevent: sample\ndata: ${JSON.stringify({t: 1, services: [evil], edges: [edge]})}\n\nevent: fault\ndata: ${JSON.stringify(fault)}\n\nevent: incident\ndata: ${JSON.stringify(incident)}\n\n`;
		for (const page of [dashboard, phone]) {
			await page.route('**/v1/graph', (r) => r.fulfill({json: {nodes: [evil], edges: [edge]}}));
			await page.route('**/v1/services', (r) => r.fulfill({json: {items: [evil]}}));
			await page.route('**/v1/faults', (r) => r.fulfill({json: {items: [fault]}}));
			await page.route('**/v1/incidents?*', (r) => r.fulfill({json: {items: [incident]}}));
			await page.route('**/v1/events', (r) => r.fulfill({contentType: 'text/event-stream', body: sample}));
		}
		await dashboard.goto('/');
		await expect(dashboard.locator('.table tbody tr')).toHaveCount(1);
		await expect(dashboard.locator('.node.failing').first()).toBeVisible();
		/* What acts is shown, never obeyed; what is long is cut. */
		const shown = await dashboard.locator('.table tbody bdi').first().innerText();
		expect(Array.from(shown).length).toBeLessThanOrEqual(64 + 6 * RTL.length);
		expect(shown).not.toMatch(/[\u202a-\u202e\u2066-\u2069\u200f]/);
		expect(await unchanged(dashboard)).toEqual(CLEAN);
		expect(await cut(dashboard)).toEqual([]);
		await dashboard.goto('/#page=incidents');
		await expect(dashboard.locator('article.incident')).toBeVisible();
		expect(await unchanged(dashboard)).toEqual(CLEAN);
		expect(await cut(dashboard)).toEqual([]);
		await phone.goto('/');
		await expect(phone.locator('.armed')).toBeVisible();
		await pause(500);
		expect(await unchanged(phone)).toEqual(CLEAN);
		expect(await cut(phone)).toEqual([]);
	});
