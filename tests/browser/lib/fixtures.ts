// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What each test gets: the daemon with the options it asks for, pages that fail
 * the test when they log an error, break their own content-security policy or
 * ask any address but their own, and a clean slate of faults.
 */
import {test as base, expect, type Page} from '@playwright/test';
import {api, CHAOS, Daemon, DASHBOARD} from './world.ts';

interface Options {
	/** Beside what every daemon of these tests gets. */
	options: string[];
	attach: boolean;
}

/* What else listens in this namespace (this very test) is none of the services. */
const COMMON = ['--discover=no', '--tick', '500ms', '--warmup-tick', '100ms', '--baseline', '300', '--shadow', '200', '--static-p99', '2s', '--cooldown', '1s', '--max-actions-per-hour', '100'];

/** What a page may say on its console although all is well: the browser's own words for a connection that was cut. */
export const CUT = /net::ERR_|Failed to load resource/;

export interface Watched {
	page: Page;
	/** Console errors and uncaught exceptions so far. */
	errors: string[];
}

export function watch(page: Page): string[] {
	const errors: string[] = [];
	page.on('console', (m) => {
		if (m.type() === 'error' || m.type() === 'warning')
			errors.push(m.text());
	});
	page.on('pageerror', (e) => errors.push(String(e)));
	page.on('dialog', (d) => {
		errors.push(`dialog: ${d.message()}`);
		void d.dismiss();
	});
	page.on('request', (r) => {
		if (!/^(http:\/\/127\.0\.0\.1:\d+\/|blob:)/.test(r.url()))
			errors.push(`asked ${r.url()}`);
	});
	return errors;
}

export const test = base.extend<{dashboard: Page; phone: Page; errors: string[]; allow: RegExp | null; clean: void}, Options & {daemon: Daemon}>({
	options: [[], {scope: 'worker', option: true}],
	attach: [true, {scope: 'worker', option: true}],
	daemon: [
		async ({options, attach}, use) => {
			const d = new Daemon();
			await d.start([...COMMON, ...options], attach);
			await use(d);
			await d.stop();
		},
		{scope: 'worker', auto: true, timeout: 60_000},
	],
	allow: [null, {option: true}],
	errors: async ({allow}, use) => {
		const errors: string[] = [];
		await use(errors);
		expect(errors.filter((e) => !allow?.test(e))).toEqual([]);
	},
	clean: [
		async ({}, use) => {
			await api('DELETE', '/v1/faults');
			await use();
			await api('DELETE', '/v1/faults');
		},
		{auto: true},
	],
	dashboard: async ({browser, errors}, use) => {
		const context = await browser.newContext({viewport: {width: 1440, height: 900}, baseURL: DASHBOARD, colorScheme: 'light'});
		const page = await context.newPage();
		const seen = watch(page);
		await use(page);
		errors.push(...seen);
		await context.close();
	},
	phone: async ({browser, errors}, use) => {
		const context = await browser.newContext({viewport: {width: 390, height: 844}, baseURL: CHAOS, hasTouch: true, isMobile: true, colorScheme: 'light'});
		const page = await context.newPage();
		const seen = watch(page);
		await use(page);
		errors.push(...seen);
		await context.close();
	},
});

export {expect};

/** hold() - a thumb on the middle of @selector for @ms. */
export async function hold(page: Page, selector: string, ms: number): Promise<void> {
	const at = page.locator(selector);
	await at.scrollIntoViewIfNeeded();
	const box = await at.boundingBox();
	if (!box)
		throw new Error(`${selector} is not on the page`);
	const cdp = await page.context().newCDPSession(page);
	const point = {x: box.x + box.width / 2, y: box.y + box.height / 2};
	await cdp.send('Input.dispatchTouchEvent', {type: 'touchStart', touchPoints: [point]});
	await page.waitForTimeout(ms);
	await cdp.send('Input.dispatchTouchEvent', {type: 'touchEnd', touchPoints: []});
	await cdp.detach();
}

/** choose() - service, type, and delay on the phone's form; waits for the dry run's word. */
export async function choose(page: Page, service: string, type: string, delay_ms?: number): Promise<void> {
	await page.locator('#service').selectOption(service);
	await page.locator('#fault').selectOption(type);
	if (delay_ms !== undefined)
		await page.locator('#param-delay_ms').fill(String(delay_ms));
	await expect(page.locator('#says')).toContainText(service);
	await expect(page.locator('button.hold')).toHaveAttribute('aria-disabled', 'false');
}
