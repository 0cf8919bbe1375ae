// SPDX-License-Identifier: Apache-2.0
// app - the frame around the pages: who is signed in, where we are, whether what is shown is live.
import { onSignedOut, session as askSession, signOut } from "./api.js";
import { Audit } from "./audit.js";
import { Cluster } from "./cluster.js";
import { Entities } from "./entities.js";
import { html, render, useEffect, useRef, useState } from "./html.js";
import { KINDS } from "./kinds.js";
import { live, unwatch, watch } from "./live.js";
import { Overview } from "./overview.js";
import { maySee, seesAll } from "./roles.js";
import { route, to } from "./route.js";
import { fieldsOfKind, loadSchemas } from "./schema.js";
import { Settings } from "./settings.js";
import { SignIn } from "./signin.js";
import { useStore } from "./store.js";
import { switchTheme, theme } from "./themes.js";
import { Problem, Said } from "./ui.js";
import { Usage } from "./usage.js";

const entityPages = KINDS.map((kind) => ({ page: kind.page, title: kind.title, kind: kind.kind, view: Entities, of: kind }));

const PAGES = [
	{ page: "overview", title: "Overview", view: Overview },
	{ page: "cluster", title: "Cluster", view: Cluster },
	...entityPages,
	{ page: "usage", title: "Usage", view: Usage },
	{ page: "audit", title: "Audit", view: Audit },
	{ page: "settings", title: "Settings", view: Settings },
];

const isThere = (page) => !page.kind || fieldsOfKind(page.kind).length > 0;
const pagesOf = (session) => PAGES.filter((page) => maySee(session, page.kind || page.page) && isThere(page));

const MODES = { live: "live", polling: "each 5 s: the stream of events is broken, trying again", connecting: "connecting" };

function Mode() {
	const { mode } = useStore(live);
	return html`<span class="mode ${mode}" role="status">${MODES[mode]}</span>`;
}

function ThemeSwitch() {
	const other = useStore(theme) === "dark" ? "light" : "dark";
	return html`<button class="quiet" onClick=${switchTheme}>${other[0].toUpperCase() + other.slice(1)}</button>`;
}

function Head({ session, onOut }) {
	return html`<header>
		<a class="skip" href="#main" onClick=${skip}>To the content</a>
		<strong>zot-leader</strong>
		${seesAll(session) && html`<${Mode} />`}
		<span class="who" title=${session.roles.join(", ")}>${session.user}</span>
		<${ThemeSwitch} />
		<button class="quiet" onClick=${onOut}>Sign out</button>
	</header>`;
}

function skip(event) {
	event.preventDefault();
	document.querySelector("main").focus();
}

const Nav = ({ pages, current }) => html`<nav aria-label="Main"><ul>
	${pages.map(({ page, title }) => html`<li><a href=${to(page)} aria-current=${page === current ? "page" : undefined}>${title}</a></li>`)}
</ul></nav>`;

// Who goes to another page hears its name and goes on from there.
function useFocusOnMain(page) {
	const main = useRef();
	const first = useRef(true);
	useEffect(() => {
		document.title = `${page.title} · zot-leader`;
		document.querySelector("nav [aria-current]").scrollIntoView({ block: "nearest", inline: "nearest" });
		if (!first.current)
			main.current.focus({ preventScroll: true });
		window.scrollTo(0, 0);
		first.current = false;
	}, [page.page]);
	return main;
}

function Frame({ session, onOut }) {
	const at = useStore(route);
	const pages = pagesOf(session);
	const page = pages.find((each) => each.page === at.page) || pages[0];
	const main = useFocusOnMain(page);
	useEffect(() => {
		if (!seesAll(session))
			return undefined;
		watch();
		return unwatch;
	}, [session]);
	const View = page.view;
	return html`<${Head} session=${session} onOut=${onOut} />
		<div class="frame">
			<${Nav} pages=${pages} current=${page.page} />
			<main id="main" ref=${main} tabindex="-1" aria-label=${page.title}><${View} key=${page.page} session=${session} at=${at} of=${page.of} /></main>
		</div>
		<${Said} />`;
}

const NoRole = ({ session, onOut }) => html`<main class="signin"><h1>zot-leader</h1>
	<p>${session.user} has no role that opens these pages.</p><button onClick=${onOut}>Sign out</button></main>`;

function useSession() {
	const [session, setSession] = useState(undefined); // undefined: not known yet, null: nobody
	const [note, setNote] = useState("");
	const [error, setError] = useState(null);
	const enter = async (next) => {
		await loadSchemas();
		setNote("");
		setSession(next);
	};
	useEffect(() => {
		onSignedOut(() => setSession((before) => {
			if (before)
				setNote("The session is over: sign in again.");
			return null;
		}));
		askSession().then(enter).catch((thrown) => (thrown.status === 401 ? setSession(null) : setError(thrown)));
	}, []);
	const out = () => signOut().then(() => setSession(null), setError);
	return { session, note, error, enter, out };
}

function App() {
	const { session, note, error, enter, out } = useSession();
	if (error && !session)
		return html`<main class="signin"><h1>zot-leader</h1><${Problem} error=${error} /><button onClick=${() => location.reload()}>Try again</button></main>`;
	if (session === undefined)
		return null;
	if (!session)
		return html`<${SignIn} onSession=${enter} note=${note} />`;
	return pagesOf(session).length ? html`<${Frame} session=${session} onOut=${out} />` : html`<${NoRole} session=${session} onOut=${out} />`;
}

const place = document.getElementById("app");
place.textContent = "";
render(html`<${App} />`, place);
