// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A page with 200 services that is open for GROW_MINUTES (1 unless said) does
 * not grow: what is left after garbage collection at the end is what was left
 * once its bounded histories were full. The services are real sockets, attached
 * one by one, with a little traffic each.
 */
import {createServer, get, type Server} from 'node:http';
import {expect, test} from '../lib/fixtures.ts';
import {api, pause, until} from '../lib/world.ts';

const SERVICES = 200;
const FIRST_PORT = 20_000;
const MINUTES = Number(process.env['GROW_MINUTES'] ?? 1);
/* The sparklines hold a minute: the page is as large as it gets only after that. */
const FILL_S = 75;
/* A busy machine takes its time to attach so many. */
const SETUP_S = 420;
const GROWTH_MAX = 1.1;
const SLACK = 1 << 20;

test.use({options: ['--mode', 'observe'], attach: false});
test.setTimeout((MINUTES * 60 + FILL_S + SETUP_S) * 1000);

test(`a page with ${SERVICES} services, open for ${MINUTES} min, does not grow`, async ({dashboard}) => {
	const servers: Server[] = [];
	let going = true;
	try {
		for (let i = 0; i < SERVICES; i++) {
			const server = createServer((_, res) => res.end('ok'));
			await new Promise<void>((done) => server.listen(FIRST_PORT + i, '127.0.0.1', done));
			servers.push(server);
		}
		const began = Date.now();
		for (let i = 0; i < SERVICES; i++)
			expect((await api('POST', '/v1/services', {name: `svc-${i}`, port: FIRST_PORT + i})).status).toBe(201);
		console.log(`    ${SERVICES} services attached in ${Math.round((Date.now() - began) / 1000)} s`);
		const traffic = (async () => {
			for (let i = 0; going; i = (i + 1) % SERVICES) {
				get(`http://127.0.0.1:${FIRST_PORT + i}/`, (res) => res.resume()).on('error', () => undefined);
				await pause(5);
			}
		})();
		await until('all are watched', 30_000, async () => (await api('GET', '/v1/services')).body.items.length === SERVICES);
		await dashboard.goto('/#service=svc-7');
		await expect(dashboard.locator('.table tbody tr')).toHaveCount(SERVICES);
		await expect(dashboard.locator('.chart')).toHaveCount(9);
		/* Folded: what is selected or busy, and the rest as a number. */
		expect(await dashboard.locator('.node').count()).toBeLessThanOrEqual(40);
		await expect(dashboard.getByText(/more are in the table/)).toBeVisible();

		const cdp = await dashboard.context().newCDPSession(dashboard);
		await cdp.send('HeapProfiler.enable');
		const measure = async () => {
			await cdp.send('HeapProfiler.collectGarbage');
			const {usedSize} = await cdp.send('Runtime.getHeapUsage');
			const {nodes, jsEventListeners} = await cdp.send('Memory.getDOMCounters');
			return {usedSize, nodes, jsEventListeners};
		};
		await pause(FILL_S * 1000);
		const before = await measure();
		await pause(MINUTES * 60_000);
		const after = await measure();
		console.log(`    ${MINUTES} min: heap ${before.usedSize} -> ${after.usedSize} bytes, DOM nodes ${before.nodes} -> ${after.nodes}, listeners ${before.jsEventListeners} -> ${after.jsEventListeners}`);
		expect(after.usedSize).toBeLessThanOrEqual(before.usedSize * GROWTH_MAX + SLACK);
		expect(after.nodes).toBeLessThanOrEqual(before.nodes * GROWTH_MAX + 200);
		expect(after.jsEventListeners).toBeLessThanOrEqual(before.jsEventListeners * GROWTH_MAX + 50);
		going = false;
		await traffic;
	} finally {
		going = false;
		servers.forEach((s) => s.closeAllConnections());
		await Promise.all(servers.map((s) => new Promise((done) => s.close(done))));
	}
});
