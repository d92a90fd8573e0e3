// SPDX-License-Identifier: GPL-2.0-or-later
/* What a machine can say of a page's looks: nothing cut, nothing over another thing, thumbs find their targets, axe is content. */
import {createRequire} from 'node:module';
import {readFileSync} from 'node:fs';
import {expect, type Browser, type Page} from '@playwright/test';
import {SCREENS} from './world.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** serious() - axe's serious and critical findings, a line each. The page's CSP forbids axe as a script tag, so CDP runs it. */
export async function serious(page: Page): Promise<string[]> {
	await page.evaluate(AXE);
	return page.evaluate(async () => {
		const axe = (globalThis as any).axe;
		const found = await axe.run(document, {resultTypes: ['violations']});
		return found.violations
			.filter((v: any) => v.impact === 'serious' || v.impact === 'critical')
			.flatMap((v: any) => v.nodes.map((n: any) => `${v.id}: ${n.target.join(' ')}: ${n.failureSummary}`));
	});
}

/** cut() - elements whose text does not fit, and whatever makes the page wider than the screen. */
export function cut(page: Page): Promise<string[]> {
	return page.evaluate(() => {
		const bad: string[] = [];
		const name = (e: Element) => `${e.tagName.toLowerCase()}.${e.className} "${(e.textContent ?? '').slice(0, 40)}"`;
		const width = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth > width + 1)
			bad.push(`the page is ${document.documentElement.scrollWidth} px wide on a screen of ${width}`);
		for (const e of document.querySelectorAll('button, h1, h2, h3, p, li, .tag, td, th, dd, dt, summary, label, figcaption')) {
			const style = getComputedStyle(e);
			if (!e.checkVisibility() || style.visibility === 'hidden' || style.display === 'inline' || e.closest('.sr, svg'))
				continue;
			const box = e.getBoundingClientRect();
			if (box.width && e.scrollWidth > e.clientWidth + 1)
				bad.push(`cut: ${name(e)}: ${e.scrollWidth} px in ${e.clientWidth}`);
			if (box.width && !e.closest('.scroll') && (box.right > width + 1 || box.left < -1))
				bad.push(`outside the screen: ${name(e)}`);
		}
		return bad;
	});
}

/** overlapping() - pairs of texts or controls that lie on one another. */
export function overlapping(page: Page): Promise<string[]> {
	return page.evaluate(() => {
		const bad: string[] = [];
		/* What is seen of it: the rest is scrolled out, or cut by whatever scrolls. */
		const seen = (e: Element) => {
			let {left, top, right, bottom} = e.getBoundingClientRect();
			for (let up = e.parentElement; up; up = up.parentElement) {
				if (getComputedStyle(up).overflow === 'visible')
					continue;
				const window = up.getBoundingClientRect();
				left = Math.max(left, window.left);
				top = Math.max(top, window.top);
				right = Math.min(right, window.right);
				bottom = Math.min(bottom, window.bottom);
			}
			return {left, top, right, bottom};
		};
		const leaves = [...document.querySelectorAll('button, input, select, summary, h1, h2, h3, td, th, dt, dd, .tag, .key, main p, .map .head span')]
			.filter((e) => e.checkVisibility() && getComputedStyle(e).visibility !== 'hidden' && !e.closest('.top, .sr, thead') && !e.classList.contains('sr'))
			.map((e) => ({e, box: seen(e)}))
			.filter(({box}) => box.right - box.left > 1 && box.bottom - box.top > 1);
		leaves.forEach(({e: a, box: p}, i) => {
			for (const {e: b, box: q} of leaves.slice(i + 1)) {
				if (a.contains(b) || b.contains(a))
					continue;
				const w = Math.min(p.right, q.right) - Math.max(p.left, q.left);
				const h = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
				if (w > 2 && h > 2)
					bad.push(`"${(a.textContent ?? '').slice(0, 30)}" lies on "${(b.textContent ?? '').slice(0, 30)}" by ${w.toFixed(0)}x${h.toFixed(0)}`);
			}
		});
		/* Within a node of the map, and out of it. */
		for (const node of document.querySelectorAll('.node')) {
			const texts = [...node.querySelectorAll('text')];
			const frame = (node.querySelector('.box') ?? node).getBoundingClientRect();
			texts.forEach((a, i) => {
				const p = a.getBoundingClientRect();
				if (p.right > frame.right + 1)
					bad.push(`"${a.textContent}" runs out of its node`);
				for (const b of texts.slice(i + 1)) {
					const q = b.getBoundingClientRect();
					if (Math.min(p.right, q.right) - Math.max(p.left, q.left) > 1 && Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 2)
						bad.push(`"${a.textContent}" lies on "${b.textContent}"`);
				}
			});
		}
		return bad.slice(0, 20);
	});
}

/** small_targets() - what a thumb would miss. */
export function small_targets(page: Page, least: number): Promise<string[]> {
	return page.evaluate((min) => {
		const bad: string[] = [];
		for (const e of document.querySelectorAll('button, select, input, summary, a[href]')) {
			/* A box within a label is as large as the label. */
			const box = ((e as HTMLInputElement).type === 'checkbox' ? (e.closest('label') ?? e) : e).getBoundingClientRect();
			if (e.checkVisibility() && (box.width < min - 0.5 || box.height < min - 0.5))
				bad.push(`${e.tagName} "${(e.textContent || e.id).slice(0, 30)}": ${box.width.toFixed(0)}x${box.height.toFixed(0)}`);
		}
		return bad;
	}, least);
}

/** bare_numbers() - cells and figures with a number and no unit. */
export function bare_numbers(page: Page, selector: string): Promise<string[]> {
	return page.evaluate((s) => {
		const bad: string[] = [];
		for (const e of document.querySelectorAll(s)) {
			const text = (e.textContent ?? '').trim();
			if (/^<?[\d.\u202f ]+$/.test(text))
				bad.push(text);
		}
		return bad;
	}, selector);
}

/** look() - a state at both widths in both themes: kept as a picture, judged by machine. */
export async function look(browser: Browser, name: string, url: string, view: (page: Page) => Promise<void>): Promise<void> {
	for (const width of [390, 1440])
		for (const colorScheme of ['light', 'dark'] as const) {
			const context = await browser.newContext({viewport: {width, height: 844}, colorScheme});
			const page = await context.newPage();
			await page.goto(url);
			await view(page);
			await page.screenshot({path: `${SCREENS}/${name}-${width}-${colorScheme}.png`, fullPage: true});
			expect(await cut(page), name).toEqual([]);
			expect(await serious(page), name).toEqual([]);
			await context.close();
		}
}
