// SPDX-License-Identifier: GPL-2.0-or-later
/* An incident from its onset to the verified repair; and a person's yes and no. */
import {readFile} from 'node:fs/promises';
import {expect, test} from '../lib/fixtures.ts';
import {api} from '../lib/world.ts';

test.use({options: ['--mode', 'suggest']});

const HURT = {service: 'db', type: 'timeout', params: {delay_ms: 4000}, duration_s: 300};

test('from onset to repaired, approved by a person', async ({dashboard}) => {
	await dashboard.goto('/');
	await expect(dashboard.locator('.table tbody tr')).toHaveCount(4);
	expect((await api('POST', '/v1/faults', HURT)).status).toBe(201);

	/* The banner comes by itself, and leads to the incident. */
	const banner = dashboard.locator('button.banner');
	await expect(banner).toContainText('db is the cause', {timeout: 45_000});
	await expect(banner).toContainText('a repair waits for your approval');
	await banner.click();
	const incident = dashboard.locator('article.incident');
	await expect(incident).toContainText('root cause');
	await expect(incident.locator('.decide')).toContainText('reset_fault of db');
	await expect(incident.locator('.decide')).toContainText('can be undone');
	await expect(incident.locator('.decide')).toContainText('not by itself');
	const address = dashboard.url();
	expect(address).toContain('incident=i-');

	await incident.getByRole('button', {name: 'Approve'}).click();
	await expect(incident.locator('p.row .tag.well')).toContainText('repaired', {timeout: 60_000});
	for (const event of ['onset', 'diagnosis', 'plan', 'guard', 'approved', 'action', 'recovered', 'verified'])
		await expect(incident.locator('.timeline b', {hasText: new RegExp(`^${event}$`)}).first()).toBeVisible();
	await expect(incident).toContainText('Verification: verified');
	await expect(incident.getByRole('button', {name: 'Approve'})).toHaveCount(0);
	await expect(dashboard.locator('button.banner')).toHaveCount(0);

	/* The post-mortem, as a file. */
	const [download] = await Promise.all([dashboard.waitForEvent('download'), incident.getByRole('button', {name: /Export/}).click()]);
	expect(download.suggestedFilename()).toMatch(/^incident-i-.*\.md$/);
	const text = await readFile(await download.path(), 'utf8');
	expect(text).toContain('# Incident i-');
	expect(text).toContain('**db**');
	expect(text).toContain('| verified |');

	/* The charts of that time, with the band and marks in the words beside them. */
	await incident.getByRole('button', {name: /Charts of db/}).click();
	await expect(dashboard.locator('.chart')).toHaveCount(9);
	await expect(dashboard.locator('.happenings')).toContainText('repaired');
	expect(dashboard.url()).toContain('service=db');
});

test('rejected: a person takes it over, and the reason is kept', async ({dashboard}) => {
	await dashboard.goto('/#page=incidents');
	expect((await api('POST', '/v1/faults', {...HURT, service: 'auth'})).status).toBe(201);
	const incident = dashboard.locator('article.incident');
	await dashboard.locator('.item', {hasText: 'waits for your approval'}).click({timeout: 60_000});
	await incident.getByRole('textbox').fill('a drill <b>of ours</b>');
	await incident.getByRole('button', {name: 'Reject'}).click();
	await expect(incident).toContainText('a person is needed', {timeout: 30_000});
	await expect(incident.locator('.timeline')).toContainText('a drill <b>of ours</b>');
});
