// SPDX-License-Identifier: GPL-2.0-or-later
/* One browser, one world, one test after the other: the daemon is one per kernel. */
import {defineConfig} from '@playwright/test';

export default defineConfig({
	testDir: 'specs',
	outputDir: 'results',
	fullyParallel: false,
	workers: 1,
	retries: 0,
	forbidOnly: true,
	timeout: 90_000,
	expect: {timeout: 15_000},
	reporter: [['list']],
	use: {
		browserName: 'chromium',
		launchOptions: {
			executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
			args: ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-gpu'],
		},
		screenshot: 'only-on-failure',
		trace: 'off',
	},
});
