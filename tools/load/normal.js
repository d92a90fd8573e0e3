// SPDX-License-Identifier: GPL-2.0-or-later
// k6 run normal.js: 10 users for 30 s, each with the full journey.
import { begin, end, journey, optionsOf } from './journey.js';

export const options = optionsOf('normal');

export function setup() {
	return begin('normal');
}

export default journey;

export function teardown() {
	end();
}
