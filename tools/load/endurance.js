// SPDX-License-Identifier: GPL-2.0-or-later
// k6 run endurance.js: 5 users for 2 minutes.
import { begin, end, journey, optionsOf } from './journey.js';

export const options = optionsOf('endurance');

export function setup() {
	return begin('endurance');
}

export default journey;

export function teardown() {
	end();
}
