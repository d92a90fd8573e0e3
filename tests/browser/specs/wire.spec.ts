// SPDX-License-Identifier: GPL-2.0-or-later
/* What goes over the wire, as the browser counts it; and the headers that keep strangers out. */
import {expect, test} from '../lib/fixtures.ts';
import {CHAOS, DASHBOARD} from '../lib/world.ts';

const BUDGET = 150_000;

for (const [name, url] of [['dashboard', DASHBOARD], ['chaos', CHAOS]] as const)
	test(`${name}: at most ${BUDGET / 1000} kB, from nowhere else`, async ({browser}) => {
		const context = await browser.newContext();
		const page = await context.newPage();
		const cdp = await context.newCDPSession(page);
		await cdp.send('Network.enable');
		const urls = new Map<string, string>();
		let bytes = 0;
		cdp.on('Network.requestWillBeSent', (e) => urls.set(e.requestId, e.request.url));
		cdp.on('Network.loadingFinished', (e) => {
			if (!urls.get(e.requestId)?.includes('/v1/'))
				bytes += e.encodedDataLength;
		});
		const answer = await page.goto(url);
		await expect(page.locator('[data-link=live]')).toBeVisible();
		console.log(`    ${name}: ${bytes} bytes over the wire, headers included`);
		expect(bytes).toBeGreaterThan(5000);
		expect(bytes).toBeLessThanOrEqual(BUDGET);
		for (const asked of urls.values())
			expect(asked.startsWith(url), asked).toBe(true);

		const headers = answer?.headers() ?? {};
		const policy = headers['content-security-policy'] ?? '';
		for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"])
			expect(policy).toContain(rule);
		expect(policy).not.toContain('unsafe');
		expect(headers).toMatchObject({'x-frame-options': 'DENY', 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'cache-control': 'no-cache'});
		/* The page itself has neither inline script nor style. */
		const html = (await answer?.text()) ?? '';
		expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\son\w+=|style=/i);
		await context.close();
	});

test('a page that is loaded again takes its assets from the cache', async ({browser}) => {
	const context = await browser.newContext();
	const page = await context.newPage();
	await page.goto(DASHBOARD);
	const assets = new Map<string, number>();
	const cdp = await context.newCDPSession(page);
	await cdp.send('Network.enable');
	cdp.on('Network.requestWillBeSent', (e) => {
		if (e.request.url.includes('/assets/'))
			assets.set(e.requestId, -1);
	});
	cdp.on('Network.loadingFinished', (e) => {
		if (assets.has(e.requestId))
			assets.set(e.requestId, e.encodedDataLength);
	});
	await page.goto('about:blank');
	await page.goto(DASHBOARD);
	await expect(page.locator('[data-link=live]')).toBeVisible();
	expect(assets.size).toBeGreaterThanOrEqual(2);
	/* Told by another way than the page: the end of a load may come after what it shows. */
	await expect.poll(() => [...assets.values()].includes(-1)).toBe(false);
	expect([...assets.values()].filter((bytes) => bytes !== 0)).toEqual([]);
	await context.close();
});
