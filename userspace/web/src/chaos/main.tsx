// SPDX-License-Identifier: GPL-2.0-or-later
import {render} from 'preact';
import '../shared/base.css';
import './chaos.css';
import {take_token} from '../shared/api.ts';
import {start_theme} from '../shared/theme.ts';
import {start_clock} from '../shared/ui.tsx';
import {App} from './app.tsx';
import {start_draft} from './draft.ts';
import {start_store} from './store.ts';

take_token();
start_theme();
start_clock();
start_store();
start_draft();
const root = document.getElementById('app');
if (root)
	render(<App />, root);
