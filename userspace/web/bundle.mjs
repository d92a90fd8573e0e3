// SPDX-License-Identifier: GPL-2.0-or-later
// Bundles both pages into out/PAGE/, compressed, and writes the C table that
// embeds them. Run in build/web, where the Makefile has put a copy of the sources.
//
// usage: node bundle.mjs TABLE.c PREFIX
//   TABLE.c  what to write
//   PREFIX   where out/ is, as the assembler sees it (.incbin)
//
// A page that needs more over the wire than BUDGET is an error: it is read on phones.
import {build} from 'esbuild';
import {createHash} from 'node:crypto';
import {mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {gzipSync} from 'node:zlib';

const BUDGET = 150_000;
const TYPES = {
	html: 'text/html; charset=utf-8',
	js: 'text/javascript; charset=utf-8',
	css: 'text/css; charset=utf-8',
	svg: 'image/svg+xml',
};
const INDEX = '/index.html';
const PAGES = ['dashboard', 'chaos'];
const [, , table, prefix] = process.argv;
if (!table || !prefix) {
	console.error('usage: node bundle.mjs TABLE.c PREFIX');
	process.exit(2);
}

const hash = (bytes) => createHash('sha256').update(bytes).digest('hex').slice(0, 16);
const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** One file of a page: kept compressed, its name hashed unless it is the page itself. */
function asset(page, path, bytes) {
	const gz = gzipSync(bytes, {level: 9});
	const file = `out/${page}${path}.gz`;
	mkdirSync(file.slice(0, file.lastIndexOf('/')), {recursive: true});
	writeFileSync(file.slice(0, -3), bytes);
	writeFileSync(file, gz);
	const type = TYPES[path.slice(path.lastIndexOf('.') + 1)];
	return {page, path, type, etag: hash(bytes), immutable: path !== INDEX, file, gz: gz.length, size: bytes.length};
}

function hashed(page, name, ext, bytes) {
	return asset(page, `/assets/${name}-${hash(bytes)}.${ext}`, bytes);
}

async function bundle(page) {
	const {outputFiles} = await build({
		entryPoints: [`src/${page}/main.tsx`],
		outdir: 'out',
		bundle: true,
		minify: true,
		write: false,
		format: 'esm',
		target: ['es2022'],
		jsx: 'automatic',
		jsxImportSource: 'preact',
		charset: 'utf8',
		legalComments: 'none',
		logLevel: 'warning',
	});
	const of = (ext) => Buffer.from(outputFiles.find((f) => f.path.endsWith(ext)).contents);
	const js = hashed(page, page, 'js', of('.js'));
	const css = hashed(page, page, 'css', of('.css'));
	const icon = hashed(page, 'icon', 'svg', readFileSync(`src/${page}/icon.svg`));
	const html = readFileSync('src/shared/index.html', 'utf8')
		.replace('{{title}}', escape(page === 'chaos' ? 'Chaos control · archaic-ebpf' : 'archaic-ebpf'))
		.replace('{{css}}', css.path)
		.replace('{{js}}', js.path)
		.replace('{{icon}}', icon.path);
	return [asset(page, INDEX, Buffer.from(html)), js, css, icon];
}

function tell(page, files) {
	const wire = files.reduce((sum, f) => sum + f.gz, 0);
	const size = files.reduce((sum, f) => sum + f.size, 0);
	console.log(`  WEB     ${page}: ${(wire / 1000).toFixed(1)} kB over the wire, ${(size / 1000).toFixed(1)} kB in all (limit ${BUDGET / 1000} kB)`);
	if (wire <= BUDGET)
		return;
	console.error(`web: ${page} needs ${wire} bytes over the wire; ${BUDGET} are allowed`);
	process.exit(1);
}

function c_table(files) {
	const blob = (f, i) => `
__asm__(".section .rodata\\n"
	"web_asset_${i}: .incbin \\"${prefix}/${f.file}\\"\\n"
	".previous\\n");
extern const uint8_t web_asset_${i}[];`;
	const row = (f, i) => `	{ "${f.page}", "${f.path}", "${f.type}", "\\"${f.etag}\\"", ${f.immutable}, web_asset_${i}, ${f.gz}, ${f.size} },`;
	return `/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Made by userspace/web/bundle.mjs. */
#include "serve/assets.h"
${files.map(blob).join('\n')}

const struct web_asset web_assets[] = {
${files.map(row).join('\n')}
};
const size_t nr_web_assets = sizeof(web_assets) / sizeof(web_assets[0]);
`;
}

/** What an earlier bundling left: removed last, so that a compiler at work misses nothing. */
function remove_stale(files) {
	const kept = new Set(files.flatMap((f) => [f.file, f.file.slice(0, -3)]));
	for (const page of PAGES)
		for (const dir of [`out/${page}`, `out/${page}/assets`])
			for (const entry of readdirSync(dir, {withFileTypes: true}))
				if (entry.isFile() && !kept.has(`${dir}/${entry.name}`))
					rmSync(`${dir}/${entry.name}`);
}

const all = [];
for (const page of PAGES) {
	const files = await bundle(page);
	tell(page, files);
	all.push(...files);
}
writeFileSync(table, c_table(all));
remove_stale(all);
