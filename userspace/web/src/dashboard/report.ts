// SPDX-License-Identifier: GPL-2.0-or-later
/* The post-mortem, as the daemon writes it, saved to a file. */
import {get} from '../shared/api.ts';

const KEEP_MS = 10_000;

/** save_report() - download it; answers what to tell the user. */
export async function save_report(id: string): Promise<string> {
	const a = await get<string>(`/v1/incidents/${encodeURIComponent(id)}/report`);
	if (!a.ok)
		return `No report: ${a.says}`;
	const name = `incident-${id.replace(/[^A-Za-z0-9-]/g, '')}.md`;
	const url = URL.createObjectURL(new Blob([String(a.data)], {type: 'text/markdown'}));
	const link = document.createElement('a');
	link.href = url;
	link.download = name;
	link.click();
	setTimeout(() => URL.revokeObjectURL(url), KEEP_MS);
	return `Saved as ${name}.`;
}
