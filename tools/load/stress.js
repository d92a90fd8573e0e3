// SPDX-License-Identifier: GPL-2.0-or-later
// k6 run stress.js: 0 to 100 users within 60 s, held for 10 s.
import { begin, end, journey, optionsOf } from './journey.js';

export const options = optionsOf('stress');

export function setup() {
	return begin('stress');
}

export default journey;

export function teardown() {
	end();
}
