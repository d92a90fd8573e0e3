// SPDX-License-Identifier: GPL-2.0-or-later
/* Both pages by keyboard alone; and an address that brings the whole view back. */
import {expect, test} from '../lib/fixtures.ts';
import {api} from '../lib/world.ts';

test.use({options: ['--mode', 'observe']});

test('the dashboard by keyboard', async ({dashboard}) => {
	await dashboard.goto('/');
	await expect(dashboard.locator('.node')).toHaveCount(5);
	await dashboard.keyboard.press('/');
	await expect(dashboard.getByRole('searchbox')).toBeFocused();
	await dashboard.keyboard.type('db');
	await expect(dashboard.locator('.table tbody tr')).toHaveCount(1);

	/* From node to node by arrows, and Enter chooses. */
	await dashboard.locator('.node[data-name=product]').focus();
	await dashboard.keyboard.press('ArrowRight');
	const focused = dashboard.locator('.node:focus');
	await expect(focused).toHaveAttribute('data-name', /^(db|auth)$/);
	const name = (await focused.getAttribute('data-name')) ?? '';
	await dashboard.keyboard.press('Enter');
	await expect(dashboard.locator('.service h2').first()).toContainText(name);

	/* One cursor on all charts, told in words. */
	const rate = dashboard.getByRole('slider', {name: /^Rate over time/});
	const duration = dashboard.getByRole('slider', {name: /^Duration over time/});
	await rate.focus();
	await dashboard.keyboard.press('ArrowLeft');
	await dashboard.keyboard.press('ArrowLeft');
	const at = async (chart: typeof rate) => (await chart.getAttribute('aria-valuetext'))?.slice(0, 8);
	const first = await at(rate);
	expect(first).toMatch(/^\d\d:\d\d:\d\d$/);
	expect(await at(duration)).toBe(first);
	await dashboard.keyboard.press('Home');
	await expect.poll(() => at(rate)).not.toBe(first);
	await dashboard.keyboard.press('Escape');
	/* Zoom by keyboard: half the range, and back. */
	await dashboard.keyboard.press('+');
	await expect(dashboard.getByText(/the last 2\smin\s30\ss/)).toBeVisible();
});

test('the whole view is in the address', async ({dashboard, browser}) => {
	await dashboard.goto('/');
	await dashboard.getByRole('button', {name: 'db', exact: true}).click();
	await dashboard.getByRole('button', {name: '15 m: the last'}).click();
	await dashboard.getByRole('button', {name: 'Earlier'}).click();
	await dashboard.getByRole('button', {name: 'Errors'}).click();
	await dashboard.getByRole('searchbox').fill('d');
	await expect(dashboard.getByText('You look at the past')).toBeVisible();
	const address = dashboard.url();
	for (const part of ['service=db', 'span=900', 'to=', 'sort=-errors', 'filter=d'])
		expect(address).toContain(part);

	const again = await (await browser.newContext()).newPage();
	await again.goto(address);
	await expect(again.locator('.service h2').first()).toContainText('db');
	await expect(again.getByRole('button', {name: '15 m: the last'})).toHaveAttribute('aria-pressed', 'true');
	await expect(again.getByText('You look at the past')).toBeVisible();
	await expect(again.locator('th[aria-sort=descending]')).toContainText('Errors');
	await expect(again.getByRole('searchbox')).toHaveValue('d');
	await again.getByRole('button', {name: '▸ live'}).click();
	await expect(again.getByText('You look at the past')).toHaveCount(0);
	await again.context().close();

	/* A service is a step for the back button. */
	await dashboard.getByRole('button', {name: 'Close ✕'}).click();
	await expect(dashboard.getByText('No service is chosen')).toBeVisible();
	await dashboard.goBack();
	await expect(dashboard.locator('.service h2').first()).toContainText('db');
});

test('dragging across a chart zooms all of them', async ({dashboard}) => {
	await dashboard.goto('/#service=db');
	const plot = dashboard.locator('.chart .u-over').first();
	await plot.scrollIntoViewIfNeeded();
	const box = await plot.boundingBox();
	if (!box)
		throw new Error('no chart');
	await dashboard.mouse.move(box.x + box.width * 0.5, box.y + 20);
	await dashboard.mouse.down();
	await dashboard.mouse.move(box.x + box.width * 0.75, box.y + 25, {steps: 5});
	await dashboard.mouse.up();
	await expect(dashboard.getByText(/\(1\smin\s1\d\ss\)/)).toBeVisible();
	expect(dashboard.url()).toMatch(/span=7\d/);
});

test('Enter twice arms, once does not', async ({phone}) => {
	await phone.goto('/');
	await phone.locator('#service').selectOption('db');
	await phone.locator('#param-delay_ms').fill('300');
	const button = phone.locator('button.hold');
	await expect(button).toHaveAttribute('aria-disabled', 'false');
	await button.focus();
	await phone.keyboard.press('Enter');
	await expect(button).toContainText('Press again');
	await expect(button).toContainText('Hold to arm');
	expect((await api('GET', '/v1/faults')).body.items.filter((f: {state: string}) => f.state === 'armed')).toEqual([]);
	await phone.keyboard.press('Enter');
	await phone.keyboard.press('Enter');
	await expect(phone.locator('.armed')).toHaveCount(1);
});

test('light and dark are remembered', async ({dashboard}) => {
	await dashboard.goto('/');
	await dashboard.getByRole('button', {name: 'Dark colours'}).click();
	await expect(dashboard.locator('html')).toHaveAttribute('data-theme', 'dark');
	await dashboard.reload();
	await expect(dashboard.locator('html')).toHaveAttribute('data-theme', 'dark');
});
