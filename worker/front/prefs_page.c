/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefs_page - PUT /v2/_zot/ext/userprefs?action=toggleStar|toggleBookmark&repo=NAME: a user's star or bookmark, there or not.
 *
 *     owner of the repository: is it there? --> led: the leaders, with the id of the request (the leader's api/self_prefs.c)
 *                                           `-> not led: this worker's own (worker/accounts/own_prefs.h)
 *
 * 200 without a body, as zot; Zot-Toggled says "on" or "off". The id is the one that the worker gave it which the client asked
 * (worker/cluster/peer.h), so it is made once however often it is sent on. 503: whether it was made is not known; who asks again toggles again.
 * The anonymous, and who may not read the repository, get 403. What is in a list is taken out also where the repository is gone.
 */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "worker/accounts/own_prefs.h"
#include "worker/auth/auth.h"
#include "worker/auth/rights.h"
#include "worker/cluster/cluster.h"
#include "worker/front/front_step.h"
#include "worker/front/pages.h"
#include "worker/front/self_ask.h"
#include "worker/oci/oci_reply.h"
#include "worker/registry/registry.h"

#define PATH_MAX_BYTES 4096
#define TOGGLED_HEADER "Zot-Toggled"
#define KEEP_EVERY_MS  60000

/* Answers. */

static struct http_response *toggled(bool on)
{
	struct http_response *response = http_response_empty(200);

	http_response_header(response, TOGGLED_HEADER, on ? "on" : "off");
	return response;
}

static void reply_failed(struct front_call *call, const struct error *err)
{
	http_request_reply(call->oci.request,
		err->kind == ERROR_CONFLICT ? oci_reply_status(409, err) : oci_reply_error(err));
}

static bool read_toggled(struct str body, bool *ret_on)
{
	AUTO(json_doc) *doc = NULL;

	return json_parse(body, &doc, NULL) && json_get_bool(json_find(json_root(doc), "on"), ret_on);
}

/* On the pool. */

struct toggling {
	struct front_errand errand; /* first. call NULL: the request has ended */
	struct front *front;
	struct prefs_toggle toggle; /* of these: */
	char *user;
	struct name name;
	bool ok, on;
	struct error err;
};

static void toggling_free(struct toggling *toggling)
{
	free(toggling->user);
	free(toggling);
}

/* The pool has it still: it is freed when it comes back. */
static void let_go(struct front_errand *errand)
{
	errand->call = NULL;
}

static bool look(struct toggling *toggling)
{
	AUTO(index) *index = NULL;

	toggling->toggle.there =
		registry_index(toggling->front->registry, name_str(&toggling->name), &index, &toggling->err);
	return toggling->toggle.there || toggling->err.kind == ERROR_UNKNOWN;
}

static bool is_user(const void *auth, struct str user)
{
	return auth_has_password(auth, user);
}

/* Once in a while, and by who changes something: a file of users tells nobody whom it has lost. */
static void keep_users(struct front *front)
{
	int64_t now = clock_ms(), next = atomic_load(&front->prefs_kept_ms);
	struct error err;
	size_t gone = 0;

	if (now < next || !atomic_compare_exchange_strong(&front->prefs_kept_ms, &next, now + KEEP_EVERY_MS))
		return;
	if (!own_prefs_keep(front->own_prefs, is_user, front->auth, &gone, &err))
		log_warn("prefs.keep", "error=%s trying again later", log_quote(str_of(err.text)));
	else if (gone)
		log_info("prefs.gone", "lists=%zu why=\"their users are not in the htpasswd file\"", gone);
}

static void run(void *arg)
{
	struct toggling *toggling = arg;

	toggling->ok = look(toggling);
	if (!toggling->ok || !toggling->front->own_prefs)
		return;
	keep_users(toggling->front);
	toggling->ok = own_prefs_toggle(
		toggling->front->own_prefs, &toggling->toggle, &toggling->on, &toggling->err);
}

/* At the leaders. */

/* Ones of a version before know no such question. */
static void on_answer(struct front_call *call, unsigned status, struct str body)
{
	struct error err;
	bool on = false;

	if (status == 200 && read_toggled(body, &on)) {
		http_request_reply(call->oci.request, toggled(on));
	} else if (status == 404 && !call->repository_is_there) {
		(void)error_set(&err, ERROR_UNKNOWN, "NAME_UNKNOWN", "there is no such repository");
		reply_failed(call, &err);
	} else {
		self_reply_refused(call, status, body);
	}
}

static void ask_leaders(struct front_call *call, const struct prefs_toggle *toggle)
{
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);
	char id[2 * PREFS_CALL_BYTES + 1];

	str_hex(toggle->call, sizeof(toggle->call), id);
	buf_format(&path,
		"/api/cluster/self/prefs?action=%s&there=%s&call=%s&user=", prefs_action(toggle->kind),
		toggle->there ? "true" : "false", id);
	buf_url(&path, toggle->user, "");
	buf_puts(&path, "&repository=");
	buf_url(&path, toggle->repository, "");
	call->repository_is_there = toggle->there;
	if (path.failed)
		self_reply_error(call, 400, ERROR_INVALID, "the user's name is too long");
	else
		self_ask_leaders(call,
			&(struct self_question){ .method = HTTP_PUT,
				.path = buf_text(&path),
				.body = STR("{}"),
				.made_once = true },
			on_answer);
}

static void on_done(void *arg)
{
	struct toggling *toggling = arg;
	struct front_call *call = toggling->errand.call;

	if (call) {
		call->errand = NULL;
		if (!toggling->ok)
			reply_failed(call, &toggling->err);
		else if (toggling->front->own_prefs)
			http_request_reply(call->oci.request, toggled(toggling->on));
		else
			ask_leaders(call, &toggling->toggle);
	}
	toggling_free(toggling);
}

/* The request. */

static void start(struct front_call *call, enum entity_kind kind)
{
	static const uint8_t nobody[PREFS_CALL_BYTES];
	const struct oci_ask *ask = &call->oci.ask;
	struct toggling *toggling = xnew(struct toggling);
	struct error err;

	*toggling = (struct toggling){ .errand = { .call = call, .cancel = let_go },
		.front = call->loop->front,
		.toggle = { .kind = kind },
		.user = check_strdup(ask->identity->user),
		.name = ask->route.name };
	toggling->toggle.user = str_of(toggling->user);
	toggling->toggle.repository = name_str(&toggling->name);
	memcpy(toggling->toggle.call, ask->call.id.raw, PREFS_CALL_BYTES);
	if (!memcmp(toggling->toggle.call, nobody, PREFS_CALL_BYTES))
		random_bytes(toggling->toggle.call, PREFS_CALL_BYTES);
	call->errand = &toggling->errand;
	if (pool_submit_then(call->loop->front->registry->pool, run, call->oci.loop, on_done, toggling))
		return;
	call->errand = NULL;
	toggling_free(toggling);
	(void)error_set(&err, ERROR_BUSY, NULL, "too many requests wait for a thread");
	http_request_reply(call->oci.request, oci_reply_later(1, &err));
}

/* False: it was refused. */
static bool may(struct front_call *call)
{
	const struct oci_ask *ask = &call->oci.ask;
	struct front *front = call->loop->front;
	struct str user = str_of(ask->identity->user);

	if (ask->identity->anonymous)
		self_reply_error(call, 403, ERROR_DENIED, "only who logs in has stars and bookmarks");
	else if (!rights_allow(ask->snapshot, ask->identity, name_str(&ask->route.name), ACTION_READ))
		self_reply_error(call, 403, ERROR_DENIED, "requested access to the resource is denied");
	else if (front->own_prefs && !auth_has_password(front->auth, user))
		self_reply_error(call, 403, ERROR_DENIED,
			"only users of the htpasswd file have stars and bookmarks here");
	else if (front->own_prefs && !own_prefs_may_change(front->own_prefs, user, clock_ms()))
		self_reply_often(call, "stars and bookmarks were changed too often in the last minute");
	else
		return true;
	return false;
}

void pages_prefs(void *arg)
{
	struct front_call *call = arg;
	AUTO_FINI(buf) action = buf_limit(64);
	enum entity_kind kind;

	if (http_query_get(call->oci.ask.query, "action", &action) != 1 ||
		!prefs_parse_action(buf_str(&action), &kind))
		self_reply_error(call, 400, ERROR_INVALID, "action: is toggleStar or toggleBookmark, once");
	else if (may(call))
		start(call, kind);
}
