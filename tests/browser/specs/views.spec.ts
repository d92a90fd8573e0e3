// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every view in both themes at 390 and 1440 px, looked at by machine here and by
 * people as the files in screens/: nothing is cut or covered, thumbs find their
 * targets, numbers have units, axe finds nothing serious.
 */
import type {Browser, Page} from '@playwright/test';
import {choose, expect, hold, test, watch} from '../lib/fixtures.ts';
import {bare_numbers, cut, overlapping, serious, small_targets} from '../lib/looks.ts';
import {api, CHAOS, DASHBOARD, SCREENS, until} from '../lib/world.ts';

test.use({options: ['--mode', 'suggest']});
test.describe.configure({timeout: 240_000});

const SIZES = [
	{width: 390, height: 844, thumb: true},
	{width: 1440, height: 900, thumb: false},
] as const;
const THEMES = ['light', 'dark'] as const;
/* Of the dashboard's numbers a score, a z and a share of counts have no unit. */
const WITH_UNIT = '.table td:not(:nth-child(9)), .chart:not(:last-child) figcaption b, .numbers dd:not(.numbers div:nth-child(-n+3) dd)';

async function judge(page: Page, name: string, thumb: boolean): Promise<void> {
	await page.evaluate(() => scrollTo(0, 0));
	await page.screenshot({path: `${SCREENS}/${name}.png`, fullPage: true});
	expect(await cut(page), name).toEqual([]);
	expect(await overlapping(page), name).toEqual([]);
	expect(await serious(page), name).toEqual([]);
	if (thumb)
		expect(await small_targets(page, 44), name).toEqual([]);
}

async function each(browser: Browser, base: string, name: string, path: string, view: (page: Page) => Promise<void>): Promise<void> {
	for (const size of SIZES)
		for (const theme of THEMES) {
			const context = await browser.newContext({viewport: {width: size.width, height: size.height}, baseURL: base, colorScheme: theme, hasTouch: size.thumb});
			const page = await context.newPage();
			const errors = watch(page);
			await page.goto(path);
			await view(page);
			await judge(page, `${name}-${size.width}-${theme}`, base === CHAOS);
			if (base === DASHBOARD && name === 'service')
				expect(await bare_numbers(page, WITH_UNIT)).toEqual([]);
			expect(errors).toEqual([]);
			await context.close();
		}
}

const charts = async (page: Page) => {
	await expect(page.locator('.chart')).toHaveCount(9);
	await expect(page.locator('.requests table, .requests .empty')).toBeVisible();
};

test('the dashboard while all is well', async ({browser}) => {
	await each(browser, DASHBOARD, 'overview', '/', async (page) => {
		await expect(page.locator('.table tbody tr')).toHaveCount(4);
		await expect(page.locator('.node')).toHaveCount(5);
	});
	await each(browser, DASHBOARD, 'past', `/#service=db&span=60&to=${Math.floor(Date.now() / 1000) - 5}`, async (page) => {
		await expect(page.locator('.table tbody tr')).toHaveCount(4);
		await charts(page);
	});
	await each(browser, DASHBOARD, 'incidents-none', '/#page=incidents', (page) => expect(page.getByText('No incident')).toBeVisible());
});

test('the dashboard in trouble, and after the repair', async ({browser}) => {
	await api('POST', '/v1/faults', {service: 'db', type: 'timeout', params: {delay_ms: 4000}, duration_s: 600});
	const waiting = await until('an incident waits', 60_000, async () =>
		(await api('GET', '/v1/incidents')).body.items.find((i: {state: string}) => i.state === 'awaiting_approval'),
	);
	await each(browser, DASHBOARD, 'service', '/#service=db', charts);
	await each(browser, DASHBOARD, 'incident-waits', `/#page=incidents&incident=${waiting.id}`, (page) => expect(page.getByRole('button', {name: 'Approve'})).toBeVisible());
	await api('POST', `/v1/incidents/${waiting.id}/approve`);
	await until('it is repaired', 60_000, async () => (await api('GET', `/v1/incidents/${waiting.id}`)).body.state === 'repaired');
	await each(browser, DASHBOARD, 'incident-repaired', `/#page=incidents&incident=${waiting.id}`, (page) => expect(page.getByText('Verification: verified')).toBeVisible());
	await each(browser, DASHBOARD, 'service-repaired', '/#service=db', charts);
});

test('chaos control at rest and at work', async ({browser, phone}) => {
	await each(browser, CHAOS, 'chaos', '/', (page) => expect(page.locator('button.hold')).toHaveAttribute('aria-disabled', 'false'));
	await phone.goto('/');
	await choose(phone, 'db', 'timeout', 700);
	await hold(phone, 'button.hold', 900);
	await api('POST', '/v1/faults', {service: 'auth', type: 'error', params: {status: 503}, probability: 0.2, duration_s: 600});
	await api('POST', '/v1/loads', {shape: 'endurance'});
	await each(browser, CHAOS, 'chaos-armed', '/', async (page) => {
		await expect(page.locator('.armed')).toHaveCount(2);
		await page.locator('.armed button.what').first().click();
		await expect(page.locator('.victim')).toHaveCount(3);
		await page.getByText('More', {exact: true}).click();
		await page.getByText('By anybody').click();
		await expect(page.locator('.running .numbers')).toContainText('/s');
	});
	await api('DELETE', `/v1/loads/${(await api('GET', '/v1/loads')).body.items[0].id}`);
	await api('DELETE', '/v1/faults');
	await each(browser, CHAOS, 'chaos-after', '/', async (page) => {
		await page.getByText(/^Ended/).click();
		await expect(page.getByText('Nothing is armed')).toBeVisible();
	});
});

test('from a small phone to a wall screen nothing is cut', async ({browser}) => {
	for (const width of [360, 600, 820, 1100, 1920, 3840])
		for (const url of [`${DASHBOARD}/#service=db`, `${DASHBOARD}/#page=incidents`, CHAOS]) {
			const context = await browser.newContext({viewport: {width, height: 900}});
			const page = await context.newPage();
			await page.goto(url);
			await expect(page.locator('.chart, article, .empty, #service').first()).toBeVisible();
			expect(await cut(page), `${url} at ${width} px`).toEqual([]);
			expect(await overlapping(page), `${url} at ${width} px`).toEqual([]);
			await context.close();
		}
});
