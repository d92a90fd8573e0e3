// SPDX-License-Identifier: GPL-2.0-or-later
/* The wire is cut and mended: the page says so, claims nothing, and catches up. */
import {CUT, expect, test} from '../lib/fixtures.ts';
import {look} from '../lib/looks.ts';
import {api, pause, Wire} from '../lib/world.ts';

test.use({options: ['--mode', 'observe'], allow: CUT});

test('the dashboard says since when, and catches up with what it missed', async ({dashboard}) => {
	const wire = new Wire(7000);
	await wire.mend();
	await dashboard.goto(`${wire.url}/#service=db`);
	await expect(dashboard.locator('[data-link=live]')).toBeVisible();
	await expect(dashboard.locator('.chart')).toHaveCount(9);

	await wire.cut();
	await expect(dashboard.getByText(/No connection since \d\d:\d\d:\d\d/)).toBeVisible();
	await expect(dashboard.locator('main')).toHaveClass('stale');
	await api('POST', '/v1/faults', {service: 'db', type: 'timeout', params: {delay_ms: 300}, duration_s: 120});
	await pause(4000);
	await expect(dashboard.getByText('fault armed:')).toHaveCount(0);

	await wire.mend();
	await expect(dashboard.locator('[data-link=live]')).toBeVisible({timeout: 20_000});
	await expect(dashboard.getByText('1 fault armed: timeout on db')).toBeVisible();
	await expect(dashboard.locator('main')).not.toHaveClass('stale');
	/* No hole is left where the wire was cut: the daemon saw those seconds, and they were asked for. */
	await dashboard.getByText('The charts as a table').click();
	await expect
		.poll(async () => {
			const cells = await dashboard.locator('details table tbody tr td:nth-child(2)').allInnerTexts();
			const known = cells.map((c) => c !== '–');
			return known.slice(known.indexOf(true), known.lastIndexOf(true)).every(Boolean);
		})
		.toBe(true);
	await wire.cut();
});

test('a cut wire greys chaos control, which never pretends', async ({phone}) => {
	const wire = new Wire(8080);
	await wire.mend();
	await phone.goto(wire.url);
	await expect(phone.locator('button.hold')).toHaveAttribute('aria-disabled', 'false');
	await wire.cut();
	await expect(phone.getByText(/No connection since/)).toBeVisible();
	await expect(phone.locator('button.hold')).toHaveAttribute('aria-disabled', 'true');
	await expect(phone.locator('#service')).toBeDisabled();

	/* Reset all is in reach all the same, tries, and says that it is not known whether it was done. */
	await phone.getByRole('button', {name: /Reset all/}).tap();
	await expect(phone.locator('.last')).toContainText('It is not known whether it was done');
	await expect(phone.locator('#log .done')).toHaveCount(0);

	await api('POST', '/v1/faults', {service: 'db', type: 'timeout', params: {delay_ms: 200}, duration_s: 60});
	await wire.mend();
	await expect(phone.locator('.armed')).toHaveCount(1, {timeout: 20_000});
	await expect(phone.locator('#service')).toBeEnabled();
	await phone.getByRole('button', {name: /Reset all/}).tap();
	await expect(phone.locator('.last')).toContainText('1 fault ended');
	await wire.cut();
});

test('a daemon that stands still is a lost connection too', async ({dashboard, daemon}) => {
	await dashboard.goto('/');
	await expect(dashboard.locator('.table tbody tr')).toHaveCount(4);
	daemon.signal('SIGSTOP');
	try {
		await expect(dashboard.getByText(/No connection since/)).toBeVisible({timeout: 25_000});
	} finally {
		daemon.signal('SIGCONT');
	}
	await expect(dashboard.locator('[data-link=live]')).toBeVisible({timeout: 30_000});
});

test('a lost connection, as it looks', async ({browser}) => {
	for (const [name, port] of [['lost', 7000], ['chaos-lost', 8080]] as const) {
		const wire = new Wire(port);
		await wire.mend();
		await look(browser, name, wire.url, async (page) => {
			await expect(page.locator('[data-link=live]')).toBeVisible();
			await expect(page.locator('.table tbody tr, #service option').first()).toBeAttached();
			await wire.cut();
			await expect(page.getByText(/No connection since/)).toBeVisible();
			await wire.mend();
		});
		await wire.cut();
	}
});
