// SPDX-License-Identifier: Apache-2.0
// audit - who changed what, when, from where, and what it was before.
import { call, query } from "./api.js";
import { html, useState } from "./html.js";
import { changes } from "./live.js";
import { go } from "./route.js";
import { useStore } from "./store.js";
import { Pager, Problem, Scroll, useLoaded } from "./ui.js";
import { time, title } from "./words.js";

const PAGE = 50;
const FILTERS = [["user", "User", "text"], ["kind", "Kind", "text"], ["id", "Id", "text"], ["since", "Since (UTC)", "datetime-local"], ["until", "Until (UTC)", "datetime-local"]];

const utc = (text) => (text ? `${text.padEnd(19, ":00")}Z` : "");

function Filter({ search }) {
	const submit = (event) => {
		event.preventDefault();
		go("audit", [], Object.fromEntries(FILTERS.map(([name]) => [name, event.target.elements[name].value.trim()])));
	};
	return html`<form class="line" role="search" onSubmit=${submit}>
		${FILTERS.map(([name, words, type]) => html`<div class="field"><label for="audit-${name}">${words}</label>
			<input id="audit-${name}" name=${name} type=${type} defaultValue=${search[name] || ""} autocapitalize="none" autocomplete="off" /></div>`)}
		<button type="submit">Show</button></form>`;
}

const shown = (value) => (value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value));

function Difference({ before, after }) {
	const names = [...new Set([...Object.keys(before || {}), ...Object.keys(after || {})])];
	if (!names.length)
		return null;
	return html`<details><summary>${names.map(title).join(", ")}</summary><dl class="difference">${names.map((name) => html`<dt>${title(name)}</dt>
		<dd>${before && name in before ? html`<del>${shown(before[name])}</del>` : ""}${" "}${after && name in after ? html`<ins>${shown(after[name])}</ins>` : ""}</dd>`)}</dl></details>`;
}

// Of some members only the names are told: secrets, and what is long.
const Untold = ({ row }) => html`${row.secrets?.length > 0 && html`<div>secret: ${row.secrets.map(title).join(", ")}</div>`}
	${row.omitted?.length > 0 && html`<div>too long to tell: ${row.omitted.map(title).join(", ")}</div>`}`;

const COUNTED = ["unauthorized", "denied", "limited"];

const Refusals = ({ row }) => html`${row.reason ? `${row.reason}; ` : ""}${COUNTED.filter((name) => row[name]).map((name) => `${name}: ${row[name]}`).join(", ")}`;

const Row = ({ row }) => html`<tr>
	<td class="time">${time(row.at, "")}</td><th scope="row">${row.user || (row.kind === "request" ? "" : "the leader")}${row.apikey && html` <small>key ${row.apikey}</small>`}</th>
	<td>${row.how}${row.count > 1 && ` ${row.count} times`}</td><td class="id">${row.kind} ${row.id}</td><td><${Difference} before=${row.old} after=${row.new} /><${Untold} row=${row} />${row.kind === "request" && html`<${Refusals} row=${row} />`}</td><td>${row.from}</td></tr>`;

export function Audit({ at }) {
	const { since, until, ...search } = at.search;
	const [before, setBefore] = useState([]);
	const first = query("/api/audit", { ...search, since: utc(since), until: utc(until), n: PAGE });
	const path = before.at(-1)?.first === first ? before.at(-1).path : first;
	const { revision } = useStore(changes);
	const { value, error } = useLoaded(() => call("GET", path), [path, path === first ? revision : 0]);
	const rows = value?.body.items || [];
	const depth = path === first ? 0 : before.length;
	return html`<h1>Audit</h1>
		<${Filter} key=${first} search=${at.search} />
		<${Problem} error=${error} />
		${value && (rows.length ? html`<${Scroll} label="Changes"><table>
			<thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">Did</th><th scope="col">What</th><th scope="col">Was and is</th><th scope="col">From</th></tr></thead>
			<tbody>${rows.map((row) => html`<${Row} key=${row.number} row=${row} />`)}</tbody></table></${Scroll}>` : html`<p class="none">Nothing of that.</p>`)}
		<${Pager} from=${depth * PAGE} count=${rows.length} onBack=${depth ? () => setBefore(before.slice(0, -1)) : null}
			onNext=${value?.next && (() => setBefore([...(depth ? before : []), { first, path: value.next }]))} />`;
}
