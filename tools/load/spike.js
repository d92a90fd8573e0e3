// SPDX-License-Identifier: GPL-2.0-or-later
// k6 run spike.js: 0 to 50 users within 10 s, held for 25 s, and back to 0.
import { begin, end, journey, optionsOf } from './journey.js';

export const options = optionsOf('spike');

export function setup() {
	return begin('spike');
}

export default journey;

export function teardown() {
	end();
}
