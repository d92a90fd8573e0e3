// SPDX-License-Identifier: GPL-2.0-or-later
import {expect, test} from '../lib/fixtures.ts';
import {look} from '../lib/looks.ts';
import {CHAOS} from '../lib/world.ts';

test.use({options: ['--read-only=yes'], allow: /status of 403/});

test('chaos control shows everything and changes nothing', async ({browser, phone}) => {
	await phone.goto('/');
	await expect(phone.getByText('Read only.')).toBeVisible();
	await expect(phone.locator('button.hold')).toHaveAttribute('aria-disabled', 'true');
	await phone.getByRole('button', {name: /Reset all/}).tap();
	await expect(phone.locator('.last')).toContainText('Refused (403)');
	await look(browser, 'chaos-read-only', CHAOS, (page) => expect(page.getByText('Read only.')).toBeVisible());
});
