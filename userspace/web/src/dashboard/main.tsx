// SPDX-License-Identifier: GPL-2.0-or-later
import {render} from 'preact';
import 'uplot/dist/uPlot.min.css';
import '../shared/base.css';
import './dashboard.css';
import './service.css';
import './incidents.css';
import {take_token} from '../shared/api.ts';
import {start_theme} from '../shared/theme.ts';
import {start_clock} from '../shared/ui.tsx';
import {App} from './app.tsx';
import {start_past} from './past.ts';
import {start_store} from './store.ts';
import {follow_address} from './view.ts';

take_token();
follow_address();
start_theme();
start_clock();
start_store();
start_past();
const root = document.getElementById('app');
if (root)
	render(<App />, root);
