// SPDX-License-Identifier: GPL-2.0-or-later
/* No service, no daemon, a kernel that lacks something: each a sentence and a way on. */
import {expect, test} from '../lib/fixtures.ts';
import {look} from '../lib/looks.ts';
import {CHAOS, DASHBOARD, Wire} from '../lib/world.ts';

test.use({attach: false});

test('no service yet: both pages say how to attach one', async ({browser}) => {
	await look(browser, 'empty', DASHBOARD, async (page) => {
		await expect(page.getByText('No service is watched yet')).toBeVisible();
		await expect(page.getByText('archaic-ebpf attach NAME --port')).toBeVisible();
	});
	await look(browser, 'chaos-empty', CHAOS, (page) => expect(page.getByText('There is no service to hurt yet')).toBeVisible());
});

test('the daemon is gone before the page had anything', async ({browser}) => {
	const wire = new Wire(7000);
	await look(browser, 'gone', await (async () => (await wire.mend(), wire.url))(), async (page) => {
		await page.route('**/v1/**', (r) => r.abort());
		await page.reload();
		await expect(page.getByText('The daemon does not answer')).toBeVisible();
		await expect(page.getByText('archaic-ebpf run')).toBeVisible();
	});
	await wire.cut();
});

/* A kernel of less cannot be had in a namespace: the daemon's answer is changed on its way. */
test('what the kernel lacks is said in the daemon’s words', async ({browser}) => {
	await look(browser, 'lacks', DASHBOARD, async (page) => {
		await page.route('**/v1/health', async (route) => {
			const answer = await (await route.fetch()).json();
			await route.fulfill({json: {...answer, degradation_level: 2, lacks: ['CPU and run queue: this kernel has no BTF tracepoints']}});
		});
		await page.reload();
		await page.locator('summary', {hasText: 'are missing'}).click();
		await expect(page.getByText('this kernel has no BTF tracepoints')).toBeVisible();
		await expect(page.getByText('model off: the built-in playbook plans')).toBeVisible();
		await expect(page.locator('.doctor li').first()).toBeVisible();
	});
});
