// SPDX-License-Identifier: GPL-2.0-or-later
/* Armed from a phone, seen on the dashboard; reset, and seen to fall. */
import {choose, expect, hold, test} from '../lib/fixtures.ts';
import {api, until} from '../lib/world.ts';

/** The newest p99 that the dashboard's table shows for a service, in ms. */
async function p99_in_table(page: import('@playwright/test').Page, service: string): Promise<number> {
	const row = page.locator('.table tbody tr', {has: page.getByRole('button', {name: service, exact: true})});
	const text = await row.locator('td').nth(3).innerText();
	const [, number, unit] = /([\d.]+)\s*(µs|ms|s|min)/.exec(text) ?? [];
	return Number(number) * ({µs: 0.001, ms: 1, s: 1000, min: 60_000}[unit ?? ''] ?? NaN);
}

test.use({options: ['--mode', 'observe']});

test('arm from a 390 px screen, see the latency rise on the dashboard; reset, see it fall', async ({phone, dashboard}) => {
	await dashboard.goto('/#service=db');
	await phone.goto('/');
	await expect.poll(() => p99_in_table(dashboard, 'db')).toBeLessThan(1000);

	await choose(phone, 'db', 'timeout', 2500);
	await expect(phone.locator('#says')).toContainText('2.5 s late');
	await hold(phone, 'button.hold', 900);
	await expect(phone.locator('.armed')).toContainText('db');
	await expect(phone.locator('#log')).toContainText('Armed as f-');
	await expect.poll(() => p99_in_table(dashboard, 'db')).toBeGreaterThan(2000);
	await expect(dashboard.getByText('⚡ 1 fault armed')).toBeVisible();
	await expect(dashboard.locator('.node.selected .hurt')).toHaveCount(1);

	/* Touched and spared are the daemon's own counts, and rise. */
	await expect.poll(async () => Number(/(\d+) of/.exec(await phone.locator('.armed').innerText())?.[1] ?? 0)).toBeGreaterThan(5);
	await phone.locator('.armed button.what').tap();
	await expect(phone.locator('.victim')).toHaveCount(3);

	await phone.getByRole('button', {name: /Reset all/}).tap();
	await expect(phone.locator('.last')).toContainText('1 fault ended: timeout on db');
	await expect(phone.locator('.armed')).toHaveCount(0);
	await expect.poll(() => p99_in_table(dashboard, 'db'), {timeout: 30_000}).toBeLessThan(1000);
	await expect(dashboard.getByText('fault armed:')).toHaveCount(0);
	expect((await api('GET', '/v1/faults')).body.items.filter((f: {state: string}) => f.state === 'armed')).toEqual([]);
});

test('a hold that is too short arms nothing', async ({phone}) => {
	await phone.goto('/');
	await choose(phone, 'db', 'timeout', 500);
	await hold(phone, 'button.hold', 250);
	await expect(phone.locator('button.hold')).toContainText('Hold a little longer');
	await phone.waitForTimeout(700);
	expect((await api('GET', '/v1/faults?service=db')).body.items.filter((f: {state: string}) => f.state === 'armed')).toEqual([]);
});

test('stop one of two', async ({phone}) => {
	await phone.goto('/');
	await api('POST', '/v1/faults', {service: 'auth', type: 'error', params: {status: 503}, probability: 0.1, duration_s: 60});
	await api('POST', '/v1/faults', {service: 'db', type: 'timeout', params: {delay_ms: 100}, probability: 0.1, duration_s: 60});
	/* Armed by somebody else, and shown all the same. */
	await expect(phone.locator('.armed')).toHaveCount(2);
	await phone.getByRole('button', {name: 'Stop error on auth'}).tap();
	await expect(phone.locator('.armed')).toHaveCount(1);
	await expect(phone.locator('.armed')).toContainText('timeout');
	await until('the daemon ended it', 5000, async () => (await api('GET', '/v1/faults?service=auth')).body.items[0].state === 'reset');
});

test.describe(() => {
	test.use({allow: /status of 422/});

	test('what the daemon refuses is said in its words, and cannot be armed', async ({phone}) => {
		await phone.goto('/');
		await choose(phone, 'db', 'timeout', 500);
		await phone.locator('#for').fill('7200');
		await expect(phone.locator('#says')).toContainText('7200');
		await expect(phone.locator('button.hold')).toHaveAttribute('aria-disabled', 'true');
		await hold(phone, 'button.hold', 900);
		await phone.locator('#param-delay_ms').fill('lots');
		await expect(phone.locator('#says')).toContainText('must be a number');
		expect((await api('GET', '/v1/faults?service=db')).body.items.filter((f: {state: string}) => f.state === 'armed')).toEqual([]);
	});
});

test('a quick action fills the form and arms nothing by itself', async ({phone}) => {
	await phone.goto('/');
	await choose(phone, 'auth', 'timeout', 500);
	await phone.getByRole('button', {name: 'Error storm'}).tap();
	await expect(phone.locator('#fault')).toHaveValue('error');
	await expect(phone.locator('#says')).toContainText('503');
	await phone.getByRole('button', {name: 'Kill db'}).tap();
	await expect(phone.locator('#service')).toHaveValue('db');
	await expect(phone.locator('#says')).toContainText('killed at once');
	await expect(phone.locator('.armed')).toHaveCount(0);
});
