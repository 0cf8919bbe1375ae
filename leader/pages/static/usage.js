// SPDX-License-Identifier: Apache-2.0
// usage - who used what: keys, users, groups, repositories, in a day or a month, and how much of their quotas.
import { get, query } from "./api.js";
import { html, useEffect, useState } from "./html.js";
import { go, to } from "./route.js";
import { Bar, Problem, Scroll, useLoaded } from "./ui.js";
import { bytes, number, today } from "./words.js";

const REFRESH_MS = 5000;
const SUMS_ON_A_PAGE = 200;

// ---- quotas: {subject, kind, limit, used, remaining}; the subject is a key, user:<name> or group:<name> ----

const QUOTAS = {
	second: { words: "calls a second", format: number },
	day: { words: "calls a day", format: number },
	month: { words: "calls a month", format: number },
	bytes: { words: "bytes a month", format: bytes },
};

const taken = ({ limit, remaining }) => limit - remaining;

// Those nearest to their end first.
export const nearest = (quotas) => [...quotas].sort((a, b) => taken(b) / b.limit - taken(a) / a.limit);

const PAGES = { user: "users", group: "groups" };

function Subject({ subject, labels }) {
	const [kind, ...name] = subject.split(":");
	const id = name.join(":");
	return PAGES[kind] && id ? html`${kind} <a href=${to(PAGES[kind], ["id", id])}>${id}</a>`
		: html`<a href=${to("keys", ["id", subject])} title=${subject}>${labels.get(subject) || subject}</a>`;
}

function QuotaRow({ quota, labels }) {
	const { words, format } = QUOTAS[quota.kind];
	const used = `${format(taken(quota))} of ${format(quota.limit)}`;
	return html`<tr><th scope="row" class="id"><${Subject} subject=${quota.subject} labels=${labels} /></th><td>${words}</td>
		<td><${Bar} limit share=${taken(quota) / quota.limit} label="${used} ${words}" /> ${used}</td></tr>`;
}

// `rows` are of the same answer: they know what people call a key.
export function Quotas({ quotas, rows }) {
	const labels = new Map(rows.map((row) => [row.apikey, row.label]));
	return html`<${Scroll} label="Quotas"><table><thead><tr><th scope="col">Of</th><th scope="col">Quota</th><th scope="col">Taken</th></tr></thead>
		<tbody>${quotas.map((quota) => html`<${QuotaRow} key="${quota.subject} ${quota.kind}" quota=${quota} labels=${labels} />`)}</tbody></table></${Scroll}>`;
}

// ---- rows of keys, of users and of groups; the leader has summed up those of all keys ----

const Counts = ({ row }) => html`<td class="number">${number(row.calls)}</td><td class="number">${bytes(row.bytesIn)}</td><td class="number">${bytes(row.bytesOut)}</td>`;

const KeyTable = ({ rows }) => html`<${Scroll} label="Usage of keys"><table>
	<thead><tr><th scope="col">Key</th><th scope="col">Owner</th><th scope="col">When</th><th scope="col" class="number">Calls</th><th scope="col" class="number">In</th><th scope="col" class="number">Out</th></tr></thead>
	<tbody>${rows.map((row) => html`<tr key="${row.apikey} ${row.day || row.month}">
		<th scope="row" class="id"><a href=${to("keys", ["id", row.apikey])} title=${row.apikey}>${row.label || row.apikey}</a></th><td>${row.owner}</td><td>${row.day || row.month}</td>
		<${Counts} row=${row} /></tr>`)}</tbody></table></${Scroll}>`;

const SUMMED = { user: { title: "User", label: "Usage of users", page: "users" }, group: { title: "Group", label: "Usage of groups", page: "groups" } };

function SumTable({ by, rows }) {
	const { title, label, page } = SUMMED[by];
	return html`<${Scroll} label=${label}><table>
		<thead><tr><th scope="col">${title}</th><th scope="col" class="number">Keys</th><th scope="col" class="number">Calls</th><th scope="col" class="number">In</th><th scope="col" class="number">Out</th></tr></thead>
		<tbody>${rows.map((row) => html`<tr key=${row[by]}><th scope="row" class="id">${row[by] ? html`<a href=${to(page, ["id", row[by]])}>${row[by]}</a>` : "not known"}</th>
			<td class="number">${number(row.keys)}</td><${Counts} row=${row} /></tr>`)}</tbody></table></${Scroll}>`;
}

const RepositoryTable = ({ rows }) => html`<${Scroll} label="Usage of repositories"><table>
	<thead><tr><th scope="col">Repository</th><th scope="col" class="number">Pulls</th><th scope="col" class="number">Pushes</th><th scope="col" class="number">In</th><th scope="col" class="number">Out</th></tr></thead>
	<tbody>${rows.map((row) => html`<tr key=${row.repository}><th scope="row" class="id">${row.repository}</th><td class="number">${number(row.pulls)}</td>
		<td class="number">${number(row.pushes)}</td><td class="number">${bytes(row.bytesIn)}</td><td class="number">${bytes(row.bytesOut)}</td></tr>`)}</tbody></table></${Scroll}>`;

// ---- what is asked ----

const VIEWS = [["key", "Keys"], ["user", "Users"], ["group", "Groups"], ["repository", "Repositories"]];

// Of users and groups without a name: sums of each.
const isSummed = ({ by, name }) => by in SUMMED && !name;

function pathOf({ by, name, when, last }) {
	if (by === "repository")
		return `/api/usage?repository=${encodeURIComponent(name)}`;
	const window = when.length === 7 ? { month: when } : { day: when };
	if (isSummed({ by, name }))
		return query("/api/usage", { by, ...window, n: SUMS_ON_A_PAGE, last });
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
		<div class="field"><label for="usage-name">${LABELS[by]}</label><input id="usage-name" value=${text} placeholder="all" autocapitalize="none" autocomplete="off"
			onInput=${(e) => setText(e.target.value)} /></div>
		${by !== "repository" && html`<div class="field"><label for="usage-span">In</label><select id="usage-span" value=${whole ? "month" : "day"} onChange=${(e) => setWhole(e.target.value === "month")}>
			<option value="day">a day</option><option value="month">a month</option></select></div>
		<div class="field"><label for="usage-window">${whole ? "Month" : "Day"} (UTC)</label><input id="usage-window" name="window" type=${whole ? "month" : "date"} key=${whole}
			defaultValue=${whole ? when.slice(0, 7) : when.padEnd(10, "-01")} required /></div>`}
		<button type="submit">Show</button></form>`;
}

const Sums = ({ sums }) => html`<p class="sums">Together: ${number(sums.calls)} calls, ${bytes(sums.bytesIn)} in, ${bytes(sums.bytesOut)} out.</p>`;

function Page({ by, when, last, value }) {
	const rows = value[`${by}s`] || [];
	return html`${value.sums && html`<${Sums} sums=${value.sums} />`}
		${rows.length ? html`<${SumTable} by=${by} rows=${rows} />` : html`<p class="none">Nothing was used.</p>`}
		<p>${last !== undefined && html`<a href=${to("usage", [], { by, when })}>From the first</a>${" "}`}
			${rows.length > 0 && value.more && html`<a href=${to("usage", [], { by, when, last: rows.at(-1)[by] })}>More</a>`}</p>`;
}

function Answer({ by, value }) {
	const rows = (by === "repository" ? value.repositories : value.usage) || [];
	const Table = by === "repository" ? RepositoryTable : KeyTable;
	const quotas = nearest(value.quotas || []);
	return html`${value.sums && html`<${Sums} sums=${value.sums} />`}
		${quotas.length > 0 && html`<h2>Quotas</h2><${Quotas} quotas=${quotas} rows=${rows} /><h2>Calls</h2>`}
		${rows.length ? html`<${Table} rows=${rows} />` : html`<p class="none">Nothing was used.</p>`}
		${value.more && html`<p class="note">There is more than these ${number(rows.length)} rows: ask for less.</p>`}`;
}

export function Usage({ at }) {
	const { by = "key", name = "", when = today(), last } = at.search;
	const turn = useTurn();
	const path = pathOf({ by, name, when, last });
	const { value, error } = useLoaded(() => get(path), [path, turn]);
	return html`<h1>Usage</h1>
		<ul class="tabs">${VIEWS.map(([each, words]) => html`<li><a href=${to("usage", [], { by: each })} aria-current=${each === by ? "true" : undefined}>${words}</a></li>`)}</ul>
		<${Asked} key="${by} ${name} ${when}" by=${by} name=${name} when=${when} />
		<${Problem} error=${error} />
		${value && (isSummed({ by, name }) ? html`<${Page} by=${by} when=${when} last=${last} value=${value} />` : html`<${Answer} by=${by} value=${value} />`)}`;
}

// Of one key, user or group, on its page: `by` is what the API calls it.
export function UsageOf({ by, id }) {
	const turn = useTurn();
	const { value, error } = useLoaded(() => get(query("/api/usage", { [by]: id })), [id, turn]);
	return html`<section aria-labelledby="usage-of"><h2 id="usage-of">Usage</h2><${Problem} error=${error} />
		${value?.quotas?.length > 0 && html`<${Quotas} quotas=${nearest(value.quotas)} rows=${value.usage} />`}
		${value && (value.usage.length ? html`<${KeyTable} rows=${value.usage} />` : html`<p class="none">Not used yet.</p>`)}</section>`;
}
