// SPDX-License-Identifier: Apache-2.0
// signin - who are you?
import { signIn } from "./api.js";
import { html } from "./html.js";
import { Problem, useAction } from "./ui.js";

export function SignIn({ onSession, note }) {
	const [run, busy, error] = useAction();
	const submit = async (event) => {
		event.preventDefault();
		const { user, password } = event.target.elements;
		const session = await run(() => signIn(user.value, password.value));
		password.value = "";
		if (session)
			onSession(session);
	};
	return html`<main class="signin"><form onSubmit=${submit}>
		<h1>zot-leader</h1>
		${note && html`<p role="status">${note}</p>`}
		<div class="field"><label for="user">User</label><input id="user" name="user" autocomplete="username" autocapitalize="none" required autofocus /></div>
		<div class="field"><label for="password">Password</label><input id="password" name="password" type="password" autocomplete="current-password" required /></div>
		<${Problem} error=${error} />
		<button class="primary" type="submit" disabled=${busy}>Sign in</button>
	</form></main>`;
}
