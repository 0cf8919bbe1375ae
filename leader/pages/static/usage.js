// SPDX-License-Identifier: Apache-2.0
// usage - who used what: keys, users, groups, repositories, in a day or a month, and how much of their quotas.
import { get, query } from "./api.js";
import { html, useEffect, useState } from "./html.js";
import { go, to } from "./route.js";
import { Bar, Problem, Scroll, useLoaded } from "./ui.js";
import { bytes, number, today } from "./words.js";

const REFRESH_MS = 5000;

// ---- quotas ----

// What a row says of the day's quota; those of the month are the key's own fields.
function quotasOf(row, { monthlyQuota, monthlyBytes } = {}) {
	const bytesUsed = row.bytesIn + row.bytesOut;
	return [
		{ name: "calls a day", used: (row.granted || 0) + (row.ungranted || 0), limit: row.quota, format: number },
		{ name: "calls a month", used: row.calls, limit: row.month && monthlyQuota, format: number },
		{ name: "bytes a month", used: bytesUsed, limit: row.month && monthlyBytes, format: bytes },
	].filter((quota) => quota.limit > 0);
}

// Those nearest to their end first.
export function quotaRows(usage) {
	return usage.flatMap((row) => quotasOf(row).map((quota) => ({ ...quota, key: row.apikey, label: row.label, owner: row.owner })))
		.sort((a, b) => b.used / b.limit - a.used / a.limit);
}

const QuotaBar = ({ used, limit, name, format }) => html`<${Bar} limit share=${used / limit} label="${format(used)} of ${format(limit)} ${name}" /> ${format(used)} of ${format(limit)}`;

export const QuotaRows = ({ rows }) => html`<${Scroll} label="Quotas"><table><thead><tr><th scope="col">Key</th><th scope="col">Owner</th><th scope="col">Quota</th><th scope="col">Taken</th></tr></thead>
	<tbody>${rows.map((row) => html`<tr key="${row.key} ${row.name}"><th scope="row" class="id"><a href=${to("keys", ["id", row.key])} title=${row.key}>${row.label || row.key}</a></th>
		<td>${row.owner}</td><td>${row.name}</td><td><${QuotaBar} ...${row} /></td></tr>`)}</tbody></table></${Scroll}>`;

// ---- rows of keys, also summed by their owner ----

const COUNTS = ["calls", "bytesIn", "bytesOut"];

function byOwner(rows) {
	const sums = new Map();
	for (const row of rows) {
		const sum = sums.get(row.owner) || { owner: row.owner, keys: 0, calls: 0, bytesIn: 0, bytesOut: 0 };
		sum.keys++;
		for (const name of COUNTS)
			sum[name] += row[name];
		sums.set(row.owner, sum);
	}
	return [...sums.values()].sort((a, b) => b.calls - a.calls);
}

const Counts = ({ row }) => html`<td class="number">${number(row.calls)}</td><td class="number">${bytes(row.bytesIn)}</td><td class="number">${bytes(row.bytesOut)}</td>`;

const KeyTable = ({ rows, entity }) => html`<${Scroll} label="Usage of keys"><table>
	<thead><tr><th scope="col">Key</th><th scope="col">Owner</th><th scope="col">When</th><th scope="col" class="number">Calls</th><th scope="col" class="number">In</th><th scope="col" class="number">Out</th><th scope="col">Quota</th></tr></thead>
	<tbody>${rows.map((row) => html`<tr key="${row.apikey} ${row.day || row.month}">
		<th scope="row" class="id"><a href=${to("keys", ["id", row.apikey])} title=${row.apikey}>${row.label || row.apikey}</a></th><td>${row.owner}</td><td>${row.day || row.month}</td>
		<${Counts} row=${row} /><td>${quotasOf(row, entity).map((quota) => html`<div><${QuotaBar} ...${quota} /> ${quota.name}</div>`)}</td></tr>`)}</tbody></table></${Scroll}>`;

const OwnerTable = ({ rows }) => html`<${Scroll} label="Usage of users"><table>
	<thead><tr><th scope="col">User</th><th scope="col" class="number">Keys</th><th scope="col" class="number">Calls</th><th scope="col" class="number">In</th><th scope="col" class="number">Out</th></tr></thead>
	<tbody>${byOwner(rows).map((row) => html`<tr key=${row.owner}><th scope="row" class="id">${row.owner ? html`<a href=${to("users", ["id", row.owner])}>${row.owner}</a>` : "not known"}</th>
		<td class="number">${number(row.keys)}</td><${Counts} row=${row} /></tr>`)}</tbody></table></${Scroll}>`;

const RepositoryTable = ({ rows }) => html`<${Scroll} label="Usage of repositories"><table>
	<thead><tr><th scope="col">Repository</th><th scope="col" class="number">Pulls</th><th scope="col" class="number">Pushes</th><th scope="col" class="number">In</th><th scope="col" class="number">Out</th></tr></thead>
	<tbody>${rows.map((row) => html`<tr key=${row.repository}><th scope="row" class="id">${row.repository}</th><td class="number">${number(row.pulls)}</td>
		<td class="number">${number(row.pushes)}</td><td class="number">${bytes(row.bytesIn)}</td><td class="number">${bytes(row.bytesOut)}</td></tr>`)}</tbody></table></${Scroll}>`;

// ---- what is asked ----

const VIEWS = [["key", "Keys"], ["user", "Users"], ["group", "A group"], ["repository", "Repositories"]];

function pathOf({ by, name, when }) {
	if (by === "repository")
		return `/api/usage?repository=${encodeURIComponent(name)}`;
	const window = when.length === 7 ? { month: when } : { day: when };
	return query("/api/usage", { ...window, [by === "key" ? "apikey" : by]: name });
}

// Usage moves without any change of entities, so it is asked again while somebody looks.
export function useTurn() {
	const [turn, setTurn] = useState(0);
	useEffect(() => {
		const timer = setInterval(() => document.hidden || setTurn((t) => t + 1), REFRESH_MS);
		return () => clearInterval(timer);
	}, []);
	return turn;
}

const LABELS = { key: "Client id", user: "User", group: "Group", repository: "Name" };

function Asked({ by, name, when }) {
	const [text, setText] = useState(name);
	const [whole, setWhole] = useState(when.length === 7);
	const submit = (event) => {
		event.preventDefault();
		const { window } = event.target.elements;
		go("usage", [], { by, name: text.trim(), when: window ? window.value : "" });
	};
	return html`<form class="line" onSubmit=${submit}>
		<div class="field"><label for="usage-name">${LABELS[by]}</label><input id="usage-name" value=${text} placeholder=${by === "group" ? "" : "all"} required=${by === "group"} autocapitalize="none" autocomplete="off"
			onInput=${(e) => setText(e.target.value)} /></div>
		${by !== "repository" && html`<div class="field"><label for="usage-span">In</label><select id="usage-span" value=${whole ? "month" : "day"} onChange=${(e) => setWhole(e.target.value === "month")}>
			<option value="day">a day</option><option value="month">a month</option></select></div>
		<div class="field"><label for="usage-window">${whole ? "Month" : "Day"} (UTC)</label><input id="usage-window" name="window" type=${whole ? "month" : "date"} key=${whole}
			defaultValue=${whole ? when.slice(0, 7) : when.padEnd(10, "-01")} required /></div>`}
		<button type="submit">Show</button></form>`;
}

function Answer({ by, value }) {
	const rows = (by === "repository" ? value.repositories : value.usage) || [];
	const Table = by === "repository" ? RepositoryTable : by === "user" ? OwnerTable : KeyTable;
	return html`${value.sums && html`<p class="sums">Together: ${number(value.sums.calls)} calls, ${bytes(value.sums.bytesIn)} in, ${bytes(value.sums.bytesOut)} out.</p>`}
		${rows.length ? html`<${Table} rows=${rows} />` : html`<p class="none">Nothing was used.</p>`}
		${value.more && html`<p class="note">There is more than these ${number(rows.length)} rows: ask for less.</p>`}`;
}

export function Usage({ at }) {
	const { by = "key", name = "", when = today() } = at.search;
	const turn = useTurn();
	const path = by === "group" && !name ? null : pathOf({ by, name, when });
	const { value, error } = useLoaded(() => (path ? get(path) : Promise.resolve(null)), [path, turn]);
	return html`<h1>Usage</h1>
		<ul class="tabs">${VIEWS.map(([each, words]) => html`<li><a href=${to("usage", [], { by: each })} aria-current=${each === by ? "true" : undefined}>${words}</a></li>`)}</ul>
		<${Asked} key="${by} ${name} ${when}" by=${by} name=${name} when=${when} />
		<${Problem} error=${error} />
		${value && html`<${Answer} by=${by} value=${value} />`}`;
}

// Of one key, on its page.
export function KeyUsage({ entity }) {
	const { id } = entity;
	const turn = useTurn();
	const { value, error } = useLoaded(() => get(query("/api/usage", { apikey: id })), [id, turn]);
	return html`<section aria-labelledby="key-usage"><h2 id="key-usage">Usage</h2><${Problem} error=${error} />
		${value && (value.usage.length ? html`<${KeyTable} rows=${value.usage} entity=${entity} />` : html`<p class="none">Not used yet.</p>`)}</section>`;
}
