// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Text that strangers chose: names of services, paths, reasons, log lines.
 *
 * It becomes a text node (never markup), is isolated with <bdi> so that
 * right-to-left letters do not reorder what stands around it, cut at a length,
 * and characters that would act instead of being seen (controls, direction
 * overrides) are shown by their number.
 */
const NAME_MAX = 64;
const TEXT_MAX = 400;

/* C0, C1, soft hyphen, zero widths, direction marks and overrides, separators, BOM, tags. */
const ACTS = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

/** tame() - at most @most characters, with what acts made visible. */
export function tame(text: string, most: number): string {
	/* Cut first: 10 kB need no second look. Code points, so that no surrogate is torn. */
	const points = Array.from(text.slice(0, most * 2 + 2));
	const cut = points.length > most ? `${points.slice(0, most - 1).join('')}…` : points.join('');
	return cut.replace(ACTS, (c) => (c === '\n' || c === '\t' ? ' ' : `‹${c.codePointAt(0)?.toString(16).padStart(4, '0')}›`));
}

/** of_unknown() - whatever came, as text. */
export function of_unknown(v: unknown): string {
	if (typeof v === 'string')
		return v;
	return v === null || v === undefined ? '' : typeof v === 'object' ? JSON.stringify(v) : String(v);
}

/** A name: one line, cut at NAME_MAX. */
export function Name({of, most = NAME_MAX}: {of: unknown; most?: number}) {
	const text = of_unknown(of);
	const shown = tame(text, most);
	return (
		<bdi class="name" title={shown === text ? undefined : tame(text, TEXT_MAX)}>
			{shown || 'no name'}
		</bdi>
	);
}

/** A sentence or a path: cut at TEXT_MAX, wraps. */
export function Says({of, most = TEXT_MAX}: {of: unknown; most?: number}) {
	return <bdi class="says">{tame(of_unknown(of), most)}</bdi>;
}
