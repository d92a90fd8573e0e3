// SPDX-License-Identifier: GPL-2.0-or-later
/* A load test, started and stopped from the phone. */
import {expect, test} from '../lib/fixtures.ts';
import {api} from '../lib/world.ts';

test.use({options: ['--mode', 'observe']});

test('start from the phone, see its numbers rise, stop it', async ({phone}) => {
	await phone.goto('/');
	await phone.getByRole('button', {name: 'endurance'}).tap();
	await expect(phone.getByText('5 users for 2 minutes')).toBeVisible();
	await phone.getByRole('button', {name: 'Start endurance'}).tap();
	const running = phone.locator('.running');
	await expect(running).toContainText('endurance is running');
	await expect(phone.locator('#log')).toContainText('Started as l-');

	const number = async (name: string) => {
		const text = await running.locator('.numbers div', {hasText: name}).locator('dd').innerText();
		return Number(text.replaceAll(' ', '').replace(/[^\d.]/g, ''));
	};
	await expect.poll(() => number('requests')).toBeGreaterThan(20);
	await expect.poll(() => number('users')).toBe(5);
	await expect(running.locator('.numbers')).toContainText('ms');
	/* One at a time: whoever else asks is told so. */
	expect((await api('POST', '/v1/loads', {shape: 'normal'})).status).toBe(409);

	await running.getByRole('button', {name: 'Stop load'}).tap();
	await expect(phone.locator('.running')).toHaveCount(0);
	await expect(phone.locator('#log')).toContainText('Stopped after');
	await expect(phone.getByText('■ stopped')).toBeVisible();
	expect((await api('GET', '/v1/loads')).body.items[0]).toMatchObject({shape: 'endurance', state: 'stopped'});
});
