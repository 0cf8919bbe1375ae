/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session - GET, POST and DELETE /api/session: a browser's login.
 *
 *     POST {"user","password"} --> verified as a Basic login is, with its limits --> 200, a cookie
 */
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/password.h"
#include "leader/api.h"
#include "leader/api/cookie.h"
#include "leader/api/describe.h"
#include "leader/api/told.h"
#include "leader/waiting.h"

#define OPENING_MAGIC MAGIC('O', 'P', 'N', 'G')
#define BODY_MAX      4096
#define ANSWER_MAX    (64 * 1024)

/* A password is being verified. */
struct opening {
	struct waiting waiting; /* first */
	uint32_t magic;
	struct api_call call;
	struct buf header; /* the login as Authorization would have it: a secret */
	struct login_wait *wait;
};

static void opening_free(struct opening *opening)
{
	if (opening->header.at)
		explicit_bzero(opening->header.at, opening->header.room);
	buf_fini(&opening->header);
	opening->magic = 0;
	free(opening);
}

static void opening_gone(struct waiting *waiting)
{
	struct opening *opening = OBJ_CAST(opening, OPENING_MAGIC, (void *)waiting);

	loop_assert(opening->call.leader->loop);
	if (opening->wait)
		login_cancel(opening->wait);
	opening_free(opening);
}

/* The answer. */

static void put_roles(struct json_writer *w, const struct state *state, const char *name)
{
	const struct user *user = entity_user(state_find(state, ENTITY_USER, str_of(name)));

	json_key(w, STR("roles"));
	json_open_array(w);
	for (size_t i = 0; i < user->roles.len; i++)
		json_value_str(w, str_of(user->roles.at[i]));
	json_close_array(w);
}

static struct http_response *show(const struct state *state, const struct session *session)
{
	struct buf body = buf_limit(ANSWER_MAX);
	struct json_writer w = json_writer(&body);
	char csrf[SESSION_CSRF_SIZE];

	session_csrf(state, session, csrf);
	json_open_object(&w);
	json_put_text(&w, "user", session->user);
	put_roles(&w, state, session->user);
	json_put_text(&w, "csrf", csrf);
	json_close_object(&w);
	return api_json(200, &body);
}

static struct http_response *begin(const struct api_call *call)
{
	AUTO(state) *state = leader_state(call->leader);
	AUTO_FINI(buf) text = buf_limit(SESSION_TEXT_MAX);
	char from[INET6_ADDRSTRLEN];
	struct session session;

	session_begin(&session, str_of(call->who.user), clock_wall_s());
	if (!session_seal(state, &session, &text))
		return api_error(401, "unauthorized", "this user has just been changed; log in again");
	cookie_put(call->leader, call->request, buf_text(&text));
	ip_format(&call->from, from);
	log_info("session.begun", "user=%s from=%s", log_quote(str_of(session.user)), from);
	return show(state, &session);
}

static struct http_response *refuse(const struct opening *opening)
{
	const struct api_call *call = &opening->call;
	bool known = *call->who.user || call->who.role == LOGIN_WORKER;

	told_refused_login(call, buf_text(&opening->header), known ? 403 : 401);
	if (!known)
		return api_error(401, "unauthorized", "no such user, or another password");
	if (*call->who.apikey || call->who.role == LOGIN_WORKER)
		return api_error(403, "denied", "a session is begun with the password of a user");
	return api_error(403, "denied", "this user has no role that may use the leader");
}

static bool may_begin(const struct login_who *who)
{
	return who->role != LOGIN_NOBODY && who->role != LOGIN_WORKER && !*who->apikey;
}

static void decided(struct opening *opening)
{
	struct http_request *request = opening->call.request;

	http_request_set_context(request, NULL);
	http_request_reply(request, may_begin(&opening->call.who) ? begin(&opening->call) : refuse(opening));
	opening_free(opening);
}

static void on_verified(void *arg, const struct login_who *who, unsigned retry_after_s)
{
	struct opening *opening = OBJ_CAST(opening, OPENING_MAGIC, arg);
	struct http_request *request = opening->call.request;

	loop_assert(opening->call.leader->loop);
	opening->wait = NULL;
	opening->call.who = *who;
	if (!retry_after_s) {
		decided(opening);
		return;
	}
	told_refused_login(&opening->call, buf_text(&opening->header), 429);
	http_request_set_context(request, NULL);
	http_request_reply(request, api_later(retry_after_s));
	opening_free(opening);
}

static void verify(struct opening *opening)
{
	struct leader *leader = opening->call.leader;
	AUTO(state) *state = leader_state(leader);
	struct login_ask ask = {
		.state = state, .header = buf_text(&opening->header), .client = opening->call.from
	};

	if (login_try(leader->login, &ask, &opening->call.who))
		decided(opening);
	else
		opening->wait = login_start(leader->login, &ask, leader->loop, on_verified, opening);
}

/* What was asked. */

static bool put_header(struct str user, struct str password, struct buf *into)
{
	AUTO_FINI(buf) both = buf_limit(BODY_MAX);

	/* A colon would end the name too early. */
	if (!user.len || user.len > ENTITY_ID_MAX || memchr(user.at, ':', user.len) || !password.len ||
		password.len > PASSWORD_MAX)
		return false;
	buf_add(&both, user);
	buf_putc(&both, ':');
	buf_add(&both, password);
	http_basic(buf_str(&both), into);
	explicit_bzero(both.at, both.room);
	return true;
}

static bool read_login(struct str body, struct buf *into, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	const struct json *root;

	if (!json_parse(body, &doc, err))
		return false;
	root = json_root(doc);
	return put_header(json_str(json_find(root, "user")), json_str(json_find(root, "password")), into) ||
	       error_set(err, ERROR_INVALID, NULL,
		       "a login is {\"user\":\"...\",\"password\":\"...\"}; a name has 1 to %d bytes, a "
		       "password 1 to %d",
		       ENTITY_ID_MAX, PASSWORD_MAX);
}

static void on_body(void *arg, struct http_request *request, struct str body, const struct error *err)
{
	struct opening *opening = OBJ_CAST(opening, OPENING_MAGIC, arg);
	struct error bad;

	if (!err && !read_login(body, &opening->header, &bad))
		err = &bad;
	if (!err) {
		verify(opening);
		return;
	}
	http_request_set_context(request, NULL);
	http_request_reply(request, api_error_of(err));
	opening_free(opening);
}

static void start(const struct api_call *call)
{
	struct opening *opening = xnew(struct opening);

	*opening = (struct opening){ .waiting = { opening_gone },
		.magic = OPENING_MAGIC,
		.call = *call,
		.header = buf_limit(2 * BODY_MAX) };
	http_request_set_context(call->request, opening);
	http_request_collect(call->request, BODY_MAX, on_body, opening);
}

/* The others. */

static struct http_response *look(struct api_call *call)
{
	AUTO(state) *state = leader_state(call->leader);

	if (!cookie_open(call, state) || call->who.role == LOGIN_NOBODY)
		return api_error(401, "unauthorized", "there is no session");
	cookie_renew(call, state);
	return show(state, &call->session);
}

/* Whoever has a copy of the cookie has a session until its time is over: nothing is stored. */
static struct http_response *end(struct api_call *call)
{
	AUTO(state) *state = leader_state(call->leader);

	if (cookie_open(call, state) && !cookie_allows(call)) {
		told_refused(call, 403);
		return api_no_csrf();
	}
	cookie_put(call->leader, call->request, "");
	return http_response_empty(204);
}

const struct route_about about_session[] = {
	{ .method = HTTP_GET, .summary = "Who this session is of.", .gives = "Session" },
	{ .method = HTTP_POST,
		.summary = "A session for a browser: a cookie, and the token that changes need.",
		.takes = "Login",
		.gives = "Session" },
	{ .method = HTTP_DELETE, .summary = "The browser's cookie is cleared.", .status = 204 },
	{ 0 },
};

void session_serve(void *arg)
{
	struct api_call *call = arg;
	enum http_method method = http_request_method(call->request);

	loop_assert(call->leader->loop);
	if (method == HTTP_POST)
		start(call);
	else
		http_request_reply(call->request, method == HTTP_DELETE ? end(call) : look(call));
}
