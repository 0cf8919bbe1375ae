// SPDX-License-Identifier: Apache-2.0
// entities - the pages of users, groups, keys, policies, workers: a table, a form, and what can be done with one.
import { AccessTry } from "./access.js";
import { call, entityPath, get, query } from "./api.js";
import { Fields, fieldsToAsk, patchOf } from "./form.js";
import { html, useState } from "./html.js";
import { RotateDialog } from "./rotate.js";
import { mayChange } from "./roles.js";
import { go, to } from "./route.js";
import { fieldsOfKind } from "./schema.js";
import { changes } from "./live.js";
import { useStore } from "./store.js";
import { Confirm, Pager, Problem, Scroll, SecretShown, say, useAction, useLoaded } from "./ui.js";
import { UsageOf } from "./usage.js";
import { bytes, number, time, title } from "./words.js";

const PAGE = 50;
const COLUMNS = 6;
const SORTED = ["text", "choice", "bool", "number", "time"];

// ---- cells ----

const long = (text) => html`<span class="long" title=${text}>${text}</span>`;

const CELLS = {
	bool: (value) => (value ? "yes" : html`<span class="state off">no</span>`),
	texts: (value) => long((value || []).join(", ")),
	choices: (value) => long((value || []).join(", ")),
	rows: (value) => number((value || []).length),
	time: (value) => (value && Date.parse(value) < Date.now() ? html`<span class="state off">over since ${time(value)}</span>` : time(value)),
	number: (value, field) => (value ? (/bytes/i.test(field.name) ? bytes(value) : number(value)) : "–"),
};

const cell = (field, value) => (CELLS[field.shape] || long)(value, field);

const isColumn = (field) => field.name !== "id" && !field.writeOnly && !["pairs", "json"].includes(field.shape);

function columnsOf(of, fields) {
	if (of.columns)
		return of.columns.map((name) => fields.find((field) => field.name === name)).filter(Boolean);
	return fields.filter(isColumn).slice(0, COLUMNS);
}

// ---- the table ----

// Pages of a list by the addresses that the API gives; `before` are those that we came from.
function usePages(first) {
	const [place, setPlace] = useState({ first, path: first, before: [] });
	const at = place.first === first ? place : { first, path: first, before: [] };
	return {
		path: at.path,
		from: at.before.length * PAGE,
		next: (path) => setPlace({ first, path, before: [...at.before, at.path] }),
		back: at.before.length ? () => setPlace({ first, path: at.before.at(-1), before: at.before.slice(0, -1) }) : null,
	};
}

function Search({ value, set }) {
	const [text, setText] = useState(value);
	const submit = (event) => {
		event.preventDefault();
		set(text.trim());
	};
	return html`<form role="search" class="row" onSubmit=${submit}>
		<input type="search" aria-label="Search" placeholder="Search" value=${text} onInput=${(e) => setText(e.target.value)} />
		<button type="submit">Search</button></form>`;
}

// A click sorts by this column, another one the other way.
function Head({ of, field, search }) {
	const by = search.sort || "";
	const words = title(field.name);
	if (!SORTED.includes(field.shape))
		return html`<th scope="col">${words}</th>`;
	const order = by === field.name ? "ascending" : by === `-${field.name}` ? "descending" : undefined;
	return html`<th scope="col" class=${field.shape} aria-sort=${order}><a href=${to(of.page, [], { ...search, sort: order === "ascending" ? `-${field.name}` : field.name })}>${words}</a></th>`;
}

function Rows({ of, columns, items, search }) {
	return html`<${Scroll} label=${of.title}><table>
		<thead><tr><th scope="col"><a href=${to(of.page, [], { ...search, sort: "" })}>Id</a></th>${columns.map((field) => html`<${Head} of=${of} field=${field} search=${search} />`)}</tr></thead>
		<tbody>${items.map((item) => html`<tr key=${item.id}>
			<th scope="row" class="id"><a href=${to(of.page, ["id", item.id])} title=${item.id}>${item.id}</a></th>
			${columns.map((field) => html`<td class=${field.shape}>${cell(field, item[field.name])}</td>`)}
		</tr>`)}</tbody>
	</table></${Scroll}>`;
}

function List({ of, session, at }) {
	const fields = fieldsOfKind(of.kind);
	const list = `/api/${of.kind}`;
	const pages = usePages(query(list, { n: PAGE, q: at.search.q, sort: at.search.sort }));
	const changed = useStore(changes);
	const concerns = !changed.kinds.length || changed.kinds.includes(of.kind) ? changed.revision : 0;
	const { value, error } = useLoaded(() => call("GET", pages.path), [pages.path, concerns]);
	const items = value?.body.items || [];
	return html`<div class="bar-of-page"><h1>${of.title}</h1>
			<${Search} value=${at.search.q || ""} set=${(q) => go(of.page, [], { ...at.search, q })} />
			${mayChange(session, of.kind) && html`<a class="button primary" href=${to(of.page, ["new"])}>New ${of.one}</a>`}
		</div>
		<${Problem} error=${error} />
		${value && (items.length ? html`<${Rows} of=${of} columns=${columnsOf(of, fields)} items=${items} search=${at.search} />` : html`<p class="none">None here.</p>`)}
		${value && html`<${Pager} from=${pages.from} count=${items.length} total=${value.body.total} onBack=${pages.back} onNext=${value.next && (() => pages.next(value.next))} />`}
		${of.triesAccess && html`<${AccessTry} />`}`;
}

// ---- a new one ----

// What must be said of its name, and what holds where nothing is said.
function fieldsOfNew(of, template) {
	return fieldsToAsk(fieldsOfKind(of.kind), true)
		.filter((field) => field.name !== "id" || !of.makesId)
		.map((field) => ({ ...field, required: field.required || field.name === "id", fallback: template[field.name] }));
}

function New({ of }) {
	const { value, error } = useLoaded(() => get(`/api/${of.kind}/_template`), [of.kind]);
	return html`<h1>New ${of.one}</h1><${Problem} error=${error} />${value && html`<${NewForm} of=${of} fields=${fieldsOfNew(of, value)} />`}`;
}

function NewForm({ of, fields }) {
	const [values, setValues] = useState({});
	const [created, setCreated] = useState(null);
	const [run, busy, error] = useAction();
	const submit = async (event) => {
		event.preventDefault();
		const answer = await run(() => call("POST", `/api/${of.kind}`, { body: values }));
		if (!answer)
			return;
		setValues({});
		if (answer.body?.clientSecret)
			setCreated(answer.body);
		else
			leave();
	};
	const leave = () => {
		setCreated(null);
		say(`The ${of.one} was made.`);
		go(of.page);
	};
	return html`<form class="entity" onSubmit=${submit}>
			<${Fields} prefix=${of.kind} fields=${fields} values=${values} set=${setValues} />
			<${Problem} error=${error} />
			<div class="buttons"><button class="primary" type="submit" disabled=${busy}>Create</button><a class="button" href=${to(of.page)}>Cancel</a></div>
		</form>
		${created && html`<${SecretShown} created=${created} onClose=${leave} />`}`;
}

// ---- one that is there ----

// What somebody else outran can be loaded; all else is said as it was told.
const Refused = ({ error, reload }) => (error?.status === 412 ? html`<div class="problem" role="alert"><p>Somebody else changed it meanwhile; nothing was written.</p>
	<button type="button" onClick=${reload}>Load the newest</button></div>` : html`<${Problem} error=${error} />`);

export function EntityForm({ of, fields, loaded, reload, readOnly }) {
	const asked = fieldsToAsk(fields, false);
	const before = loaded.body;
	const [values, setValues] = useState(before);
	const [run, busy, error] = useAction();
	const submit = async (event) => {
		event.preventDefault();
		const body = patchOf(asked, before, values);
		const answer = await run(() => call("PATCH", entityPath(of.kind, of.id || before.id), { body, etag: loaded.etag }));
		if (!answer)
			return;
		say("Saved.");
		reload();
	};
	return html`<form class="entity" onSubmit=${submit}><fieldset disabled=${readOnly} class="plain">
		<${Fields} prefix=${of.kind} fields=${asked} values=${values} set=${setValues} />
		<${Refused} error=${error} reload=${reload} />
		${!readOnly && html`<div class="buttons"><button class="primary" type="submit" disabled=${busy}>Save</button></div>`}
	</fieldset></form>`;
}

function Deeds({ of, entity, etag, reload }) {
	const [asking, setAsking] = useState("");
	const [run, busy, error] = useAction();
	const path = entityPath(of.kind, entity.id);
	const flip = () => run(() => call("PATCH", path, { body: { enabled: !entity.enabled }, etag })).then((done) => done && reload());
	const remove = async () => {
		await call("DELETE", path, { etag });
		say(`The ${of.one} was deleted.`);
		go(of.page);
	};
	return html`<div class="buttons">
			${of.rotates && html`<button onClick=${() => setAsking("rotate")}>Rotate the secret</button>`}
			${"enabled" in entity && html`<button onClick=${flip} disabled=${busy}>${entity.enabled ? "Disable" : "Enable"}</button>`}
			<button class="danger" onClick=${() => setAsking("delete")}>Delete</button>
		</div>
		<${Refused} error=${error} reload=${reload} />
		${asking === "delete" && html`<${Confirm} title="Delete ${entity.id}?" verb="Delete" act=${remove} onClose=${() => setAsking("")}><p>${of.gone || "It cannot be taken back."}</p></${Confirm}>`}
		${asking === "rotate" && html`<${RotateDialog} id=${entity.id} onClose=${() => setAsking("")} onDone=${reload} />`}`;
}

// What cannot be changed, in words.
const Fixed = ({ fields, entity }) => html`<dl class="facts">${fields.filter((field) => (field.fixed || field.readOnly) && entity[field.name]).map((field) =>
	html`<div><dt>${title(field.name)}</dt><dd>${cell(field, entity[field.name])}</dd></div>`)}</dl>`;

function One({ of, id, session }) {
	const fields = fieldsOfKind(of.kind);
	const { value, error, reload } = useLoaded(() => call("GET", entityPath(of.kind, id)), [id]);
	const may = mayChange(session, of.kind);
	return html`<p class="crumb"><a href=${to(of.page)}>${of.title}</a></p><h1 class="id">${id}</h1>
		<${Problem} error=${error} />
		${value && html`<${Fixed} fields=${fields} entity=${value.body} />
			${may && html`<${Deeds} of=${of} entity=${value.body} etag=${value.etag} reload=${reload} />`}
			<${EntityForm} key=${value.etag} of=${of} fields=${fields} loaded=${value} reload=${reload} readOnly=${!may} />
			${of.usage && html`<${UsageOf} by=${of.usage} id=${id} />`}`}`;
}

export function Entities({ of, session, at }) {
	const [part, ...id] = at.parts;
	if (part === "new" && mayChange(session, of.kind))
		return html`<${New} of=${of} />`;
	if (part === "id")
		return html`<${One} key=${id.join("/")} of=${of} id=${id.join("/")} session=${session} />`;
	return html`<${List} of=${of} session=${session} at=${at} />`;
}
