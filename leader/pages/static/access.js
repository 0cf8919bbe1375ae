// SPDX-License-Identifier: Apache-2.0
// access - may they do that? The leader answers by what workers ask when they serve.
import { get, query } from "./api.js";
import { html, useState } from "./html.js";
import { Problem, useAction } from "./ui.js";

const ACTIONS = ["read", "create", "update", "delete"];
const NAMES = { user: "User", key: "Key (client id)" };

const whoOf = ({ anonymous, user, key, groups = [] }) =>
	anonymous ? "Somebody who is not logged in" : `${user || "?"}${key ? ` by the key ${key}` : ""}${groups.length ? ` (of ${groups.join(", ")})` : ""}`;

function Answer({ answer }) {
	return html`<div class="answer" role="status">
		<p>${whoOf(answer.who)} <span class="state ${answer.allowed ? "active" : "lost"}">${answer.allowed ? "may" : "may not"}</span> ${answer.action} <b>${answer.repository}</b>:
			${" "}${answer.text}.</p>
		${answer.matching?.length > 0 && html`<p>Policies that match: ${answer.matching.map(({ policy, decides }, i) => html`${i ? ", " : ""}${decides ? html`<b>${policy}</b> (decides)` : policy}`)}</p>`}
	</div>`;
}

export function AccessTry() {
	const [by, setBy] = useState("user");
	const [answer, setAnswer] = useState(null);
	const [run, busy, error] = useAction();
	const submit = async (event) => {
		event.preventDefault();
		const { who, action, repository } = event.target.elements;
		setAnswer(null);
		setAnswer(await run(() => get(query("/api/access", { [by]: by === "nobody" ? "" : who.value, action: action.value, repository: repository.value }))));
	};
	return html`<section aria-labelledby="try"><h2 id="try">May they?</h2>
		<form class="line" onSubmit=${submit}>
			<div class="field"><label for="try-by">Who</label><select id="try-by" value=${by} onChange=${(e) => setBy(e.target.value)}>
				<option value="user">a user</option><option value="key">a key</option><option value="nobody">nobody who is logged in</option></select></div>
			${by !== "nobody" && html`<div class="field"><label for="try-who">${NAMES[by]}</label><input id="try-who" name="who" required autocapitalize="none" autocomplete="off" /></div>`}
			<div class="field"><label for="try-action">Does</label><select id="try-action" name="action">${ACTIONS.map((action) => html`<option>${action}</option>`)}</select></div>
			<div class="field"><label for="try-repository">On repository</label><input id="try-repository" name="repository" required autocapitalize="none" autocomplete="off" /></div>
			<button type="submit" disabled=${busy}>Ask</button>
		</form>
		<${Problem} error=${error} />
		${answer && html`<${Answer} answer=${answer} />`}
	</section>`;
}
