// SPDX-License-Identifier: GPL-2.0-or-later
import {render} from 'preact';
import '../shared/base.css';
import {take_token} from '../shared/api.ts';
import {start_theme} from '../shared/theme.ts';
import {LinkState, start_clock, ThemeButton} from '../shared/ui.tsx';

take_token();
start_theme();
start_clock();
render(<main><h1>archaic-ebpf</h1><LinkState /><ThemeButton /></main>, document.getElementById('app') as HTMLElement);
