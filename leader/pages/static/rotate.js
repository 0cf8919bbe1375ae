// SPDX-License-Identifier: Apache-2.0
// rotate - another secret for a key, with a time in which the one before is good too.
import { call, entityPath } from "./api.js";
import { html, useState } from "./html.js";
import { Dialog, Problem, SecretShown, useAction } from "./ui.js";

const GRACES = [[86400, "a day"], [3600, "an hour"], [604800, "a week"], [2592000, "30 days"], [0, "not at all: it ends at once"]];

function Ask({ run, busy, error, rotate, onClose }) {
	const [grace, setGrace] = useState(GRACES[0][0]);
	const runs = error && error.status === 409;
	const submit = (event) => {
		event.preventDefault();
		run(() => rotate({ graceSeconds: grace }));
	};
	return html`<${Dialog} title="Another secret" onClose=${onClose}><form onSubmit=${submit}>
		<div class="field"><label for="grace">The one before stays good for</label>
			<select id="grace" value=${grace} onChange=${(e) => setGrace(Number(e.target.value))}>
				${GRACES.map(([seconds, words]) => html`<option value=${seconds}>${words}</option>`)}</select></div>
		<${Problem} error=${error} />
		<div class="buttons">
			<button class="primary" type="submit" disabled=${busy}>Rotate</button>
			${runs && html`<button type="button" class="danger" onClick=${() => run(() => rotate({ graceSeconds: grace, again: true }))}>Rotate again all the same</button>`}
			<button type="button" onClick=${onClose}>Cancel</button>
		</div>
	</form></${Dialog}>`;
}

export function RotateDialog({ id, onClose, onDone }) {
	const [run, busy, error] = useAction();
	const [created, setCreated] = useState(null);
	const rotate = async (body) => setCreated((await call("POST", `${entityPath("apikey", id)}/rotate`, { body })).body);
	const close = () => {
		setCreated(null);
		onClose();
		if (created)
			onDone();
	};
	return created ? html`<${SecretShown} created=${created} onClose=${close} />` : html`<${Ask} run=${run} busy=${busy} error=${error} rotate=${rotate} onClose=${onClose} />`;
}
