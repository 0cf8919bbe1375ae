// SPDX-License-Identifier: Apache-2.0
// form - a form of any kind of entity, from its fields.
import { html, useState } from "./html.js";
import { title } from "./words.js";

const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

// ---- one field; value is as the API has it, undefined where nothing was said ----

const Bool = ({ id, value, set }) => html`<input id=${id} type="checkbox" checked=${value} onChange=${(e) => set(e.target.checked)} />`;

const Text = ({ id, field, value, set, more }) => html`<input id=${id} type="text" value=${value ?? ""} required=${field.required} maxlength=${field.maxLength}
	autocomplete="off" autocapitalize="none" spellcheck=${false} onInput=${(e) => set(e.target.value)} ...${more} />`;

const Secret = ({ id, field, value, set, more }) => html`<input id=${id} type="password" value=${value ?? ""} minlength=${field.minLength} maxlength=${field.maxLength}
	autocomplete="new-password" onInput=${(e) => set(e.target.value || undefined)} ...${more} />`;

const Number_ = ({ id, field, value, set, more }) => html`<input id=${id} type="number" step="1" min=${field.min} max=${field.max} value=${value ?? field.fallback ?? ""}
	onInput=${(e) => set(e.target.value === "" ? undefined : Number(e.target.value))} ...${more} />`;

// The picker has no zone: what it shows is UTC.
const Time = ({ id, value, set, more }) => html`<span class="row"><input id=${id} type="datetime-local" step="1" value=${value ? String(value).slice(0, 19) : ""}
	onInput=${(e) => set(e.target.value ? `${e.target.value.padEnd(19, ":00")}Z` : 0)} ...${more} /> UTC</span>`;

const Choice = ({ id, field, value, set, more }) => html`<select id=${id} value=${value ?? field.fallback} onChange=${(e) => set(e.target.value)} ...${more}>
	${field.choices.map((choice) => html`<option value=${choice}>${choice}</option>`)}</select>`;

function Texts({ id, value, set, more }) {
	const [text, setText] = useState((value || []).join("\n"));
	const input = (event) => {
		setText(event.target.value);
		set(lines(event.target.value));
	};
	return html`<textarea id=${id} rows=${Math.min(8, Math.max(2, (value || []).length + 1))} value=${text} placeholder="one a line" spellcheck=${false}
		autocapitalize="none" onInput=${input} ...${more}></textarea>`;
}

// An object as JSON. What is none yet goes to the leader as it is, which says what is wrong with it.
function Json({ id, value, set, more }) {
	const [text, setText] = useState(value ? JSON.stringify(value, null, 2) : "");
	const read = (typed) => {
		try {
			return typed.trim() ? JSON.parse(typed) : null;
		} catch {
			return typed;
		}
	};
	const input = (event) => {
		setText(event.target.value);
		set(read(event.target.value));
	};
	return html`<textarea id=${id} rows=${Math.min(16, Math.max(3, text.split("\n").length))} value=${text} placeholder="{ }, or nothing" spellcheck=${false}
		autocapitalize="none" onInput=${input} ...${more}></textarea>`;
}

function Choices({ id, field, value, set, more }) {
	const chosen = value || [];
	const flip = (choice) => set(chosen.includes(choice) ? chosen.filter((each) => each !== choice) : [...chosen, choice]);
	return html`<div id=${id} role="group" class="choices" ...${more}>${field.choices.map((choice) => html`<label>
		<input type="checkbox" checked=${chosen.includes(choice)} onChange=${() => flip(choice)} />${choice}</label>`)}</div>`;
}

function Pairs({ id, field, value, set, more }) {
	const [rows, setRows] = useState(Object.entries(value || {}));
	const change = (next) => {
		setRows(next);
		set(Object.fromEntries(next.filter(([name]) => name)));
	};
	const put = (at, side, text) => change(rows.map((row, i) => (i === at ? (side ? [row[0], text] : [text, row[1]]) : row)));
	return html`<div id=${id} role="group" class="pairs" ...${more}>
		${rows.map(([name, text], i) => html`<div class="row" key=${i}>
			<input aria-label="${title(field.name)}: name" value=${name} onInput=${(e) => put(i, 0, e.target.value)} />
			<input aria-label="${title(field.name)}: text" value=${text} onInput=${(e) => put(i, 1, e.target.value)} />
			<button type="button" aria-label="Remove ${name || "this line"}" onClick=${() => change(rows.filter((_, at) => at !== i))}>Remove</button>
		</div>`)}
		<button type="button" onClick=${() => setRows([...rows, ["", ""]])}>Add a line</button>
	</div>`;
}

// Each row keeps its key while others come and go, since its inputs keep what was typed.
let rowKey = 0;

function Rows({ id, field, value, set, more }) {
	const rows = value || [];
	const [keys, setKeys] = useState(rows.map(() => rowKey++));
	const put = (at, row) => set(rows.map((each, i) => (i === at ? row : each)));
	const add = () => {
		setKeys([...keys, rowKey++]);
		set([...rows, {}]);
	};
	const remove = (at) => {
		setKeys(keys.filter((_, i) => i !== at));
		set(rows.filter((_, i) => i !== at));
	};
	return html`<div id=${id} role="group" class="rows" ...${more}>
		${rows.map((row, i) => html`<fieldset key=${keys[i]}><legend>${i + 1}</legend>
			<${Fields} prefix="${id}-${keys[i]}" fields=${field.fields} values=${row} set=${(next) => put(i, next)} />
			<button type="button" onClick=${() => remove(i)}>Remove ${i + 1}</button>
		</fieldset>`)}
		<button type="button" onClick=${add}>Add one</button>
	</div>`;
}

const INPUTS = { bool: Bool, text: Text, secret: Secret, number: Number_, time: Time, choice: Choice, texts: Texts, json: Json, choices: Choices, pairs: Pairs, rows: Rows };
const GROUPS = ["choices", "pairs", "rows"];

function Field({ id, field, value, set }) {
	const Input = INPUTS[field.shape];
	const name = title(field.name);
	const isGroup = GROUPS.includes(field.shape);
	const more = { "aria-describedby": field.about ? `${id}-about` : undefined, "aria-label": isGroup ? name : undefined };
	return html`<div class="field of-${field.shape}">
		${isGroup ? html`<span class="label">${name}</span>` : html`<label for=${id}>${name}${field.required ? html` <small>required</small>` : ""}</label>`}
		<${Input} id=${id} field=${field} value=${value ?? field.fallback} set=${set} more=${more} />
		${field.about && html`<p class="about" id="${id}-about">${field.about}</p>`}
	</div>`;
}

export function Fields({ prefix, fields, values, set }) {
	return fields.map((field) => html`<${Field} key=${field.name} id="${prefix}-${field.name}" field=${field} value=${values[field.name]}
		set=${(value) => set({ ...values, [field.name]: value })} />`);
}

// ---- which fields, and what is sent ----

// Hashes are for programs; what is fixed or read alone is shown elsewhere.
const isAsked = (field, isNew) => !field.readOnly && !(field.writeOnly && /hash/i.test(field.name)) && (isNew || !field.fixed);

export function fieldsToAsk(fields, isNew) {
	return fields.filter((field) => isAsked(field, isNew) && (isNew || field.name !== "id"));
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

// A merge patch takes a member of a map away by null.
function pairsPatch(before, after) {
	const gone = Object.keys(before || {}).filter((name) => !(name in after));
	return { ...after, ...Object.fromEntries(gone.map((name) => [name, null])) };
}

export function patchOf(fields, before, after) {
	const patch = {};
	for (const { name, shape } of fields)
		if (after[name] !== undefined && !same(before[name], after[name]))
			patch[name] = shape === "pairs" ? pairsPatch(before[name], after[name]) : after[name];
	return patch;
}
