// SPDX-License-Identifier: GPL-2.0-or-later
import {expect, test} from '../lib/fixtures.ts';
import {look} from '../lib/looks.ts';
import {CHAOS} from '../lib/world.ts';

test.use({options: ['--chaos-token-file', process.env['ARCHAIC_TOKEN_FILE'] ?? ''], allow: /status of 401/});

test('the page asks for it, and takes it from the fragment', async ({browser, phone}) => {
	await phone.goto('/');
	await expect(phone.getByRole('heading', {name: 'A token is needed'})).toBeVisible();
	await look(browser, 'chaos-token', CHAOS, (page) => expect(page.getByRole('heading', {name: 'A token is needed'})).toBeVisible());
	await phone.goto(`/#token=${process.env['ARCHAIC_TOKEN']}`);
	await phone.reload();
	await expect(phone.locator('#service')).toBeVisible();
	/* It does not stay where a screenshot or a bookmark would keep it. */
	expect(phone.url()).not.toContain('token');
	await expect(phone.locator('button.hold')).toHaveAttribute('aria-disabled', 'false');
});
