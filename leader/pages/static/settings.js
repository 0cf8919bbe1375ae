// SPDX-License-Identifier: Apache-2.0
// settings - what there is one of: the settings of the cluster, the policy of its admins.
import { call, entityPath, get } from "./api.js";
import { EntityForm } from "./entities.js";
import { Fields } from "./form.js";
import { html, useState } from "./html.js";
import { mayChange } from "./roles.js";
import { fieldsOfKind } from "./schema.js";
import { Confirm, Problem, say, useAction, useLoaded } from "./ui.js";

// Which kinds have one entity, and its id.
const SINGLES = [
	{ kind: "settings", id: "cluster", title: "The cluster", one: "settings" },
	{ kind: "admin_policy", id: "admin", title: "What administrators of the registry may do everywhere", one: "policy", mayMiss: true },
];

async function load({ kind, id, mayMiss }) {
	if (mayMiss && (await get(`/api/${kind}?n=1`)).total === 0)
		return { body: null, etag: "" };
	return call("GET", entityPath(kind, id));
}

function Missing({ of, reload }) {
	const [values, setValues] = useState({});
	const [run, busy, error] = useAction();
	const submit = async (event) => {
		event.preventDefault();
		if (await run(() => call("PUT", entityPath(of.kind, of.id), { body: values })))
			reload();
	};
	return html`<p class="none">There is none.</p><details><summary>Make one</summary><form class="entity" onSubmit=${submit}>
		<${Fields} prefix=${of.kind} fields=${fieldsOfKind(of.kind).filter((field) => field.name !== "id")} values=${values} set=${setValues} />
		<${Problem} error=${error} />
		<div class="buttons"><button class="primary" type="submit" disabled=${busy}>Create</button></div></form></details>`;
}

function Remove({ of, etag, reload }) {
	const [asking, setAsking] = useState(false);
	const act = async () => {
		await call("DELETE", entityPath(of.kind, of.id), { etag });
		say("Deleted.");
		reload();
	};
	return html`<button class="danger" onClick=${() => setAsking(true)}>Delete</button>
		${asking && html`<${Confirm} title="Delete it?" verb="Delete" act=${act} onClose=${() => setAsking(false)}><p>Nobody is such an administrator from then on.</p></${Confirm}>`}`;
}

function Single({ of, session }) {
	const { value, error, reload } = useLoaded(() => load(of), [of.kind]);
	const may = mayChange(session, of.kind);
	return html`<section aria-labelledby="single-${of.kind}"><h2 id="single-${of.kind}">${of.title}</h2><${Problem} error=${error} />
		${value?.body && html`<${EntityForm} key=${value.etag} of=${of} fields=${fieldsOfKind(of.kind)} loaded=${value} reload=${reload} readOnly=${!may} />
			${of.mayMiss && may && html`<${Remove} of=${of} etag=${value.etag} reload=${reload} />`}`}
		${value && !value.body && (may ? html`<${Missing} of=${of} reload=${reload} />` : html`<p class="none">There is none.</p>`)}</section>`;
}

export const Settings = ({ session }) => html`<h1>Settings</h1>
	${SINGLES.filter((of) => fieldsOfKind(of.kind).length).map((of) => html`<${Single} key=${of.kind} of=${of} session=${session} />`)}`;
