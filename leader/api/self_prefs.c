/* SPDX-License-Identifier: Apache-2.0 */
/*
 * self_prefs - a user stars or bookmarks a repository at a worker, or takes that back. The worker asks with its own credential, and names the
 * user.
 *
 *     PUT /api/cluster/self/prefs?user=NAME&repository=NAME&action=toggleStar|toggleBookmark&there=true|false&call=ID
 *
 * there: the worker has looked whether the repository exists. ID, 32 hex digits, is the client's request's: one that comes again,
 * to this leader or another, is made once (proto/user_prefs.h). 200 {"on": true}: the repository is in the list now.
 *
 * It is in no audit: it opens nothing, and anybody who may log in could fill the audit with it. A user has OWN_KEYS_CHANGES changes a minute,
 * those of API keys among them.
 */
#include "common/json.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/describe.h"
#include "leader/api/self.h"
#include "proto/name.h"
#include "proto/user_prefs.h"

#define USER_MAX   255
#define TEXT_MAX   64
#define ANSWER_MAX 256

struct asked {
	struct buf user, repository, action, there, call;
	struct prefs_toggle toggle;
};

static void asked_fini(struct asked *asked)
{
	buf_fini(&asked->user);
	buf_fini(&asked->repository);
	buf_fini(&asked->action);
	buf_fini(&asked->there);
	buf_fini(&asked->call);
}

static bool take(const struct api_job *job, const char *name, struct buf *into)
{
	bool given;

	return api_parameter(job, name, into, &given);
}

static bool read_asked(const struct api_job *job, struct asked *asked)
{
	return take(job, "user", &asked->user) && take(job, "repository", &asked->repository) &&
	       take(job, "action", &asked->action) && take(job, "there", &asked->there) &&
	       take(job, "call", &asked->call);
}

static bool invalid(struct error *err, const char *why)
{
	return error_set(err, ERROR_INVALID, NULL, "%s", why);
}

static bool understand(struct asked *asked, struct error *err)
{
	struct prefs_toggle *toggle = &asked->toggle;
	struct name name;

	toggle->user = buf_str(&asked->user);
	toggle->repository = buf_str(&asked->repository);
	toggle->there = str_is(buf_str(&asked->there), "true");
	if (!toggle->user.len || memchr(toggle->user.at, '\0', toggle->user.len))
		return invalid(err, "user: needed, who asks the worker");
	if (!name_parse(toggle->repository, &name, err))
		return error_add(err, "repository");
	if (!prefs_parse_action(buf_str(&asked->action), &toggle->kind))
		return invalid(err, "action: is toggleStar or toggleBookmark");
	return str_unhex(buf_str(&asked->call), toggle->call, sizeof(toggle->call)) ||
	       invalid(err, "call: needed, 32 lower case hex digits");
}

/* Decided and written, of the newest state. */
static enum ledger_result toggle_locked(struct leader *leader, const struct prefs_toggle *toggle,
	bool *ret_on, struct http_response **ret_refused, struct error *err)
{
	AUTO(state) *state = leader_state(leader);
	struct entity *now = state_find(state, toggle->kind, toggle->user);
	AUTO(entity) *made = NULL;
	struct ledger_change change = { .check = true, .expected = now ? entity_revision(now) : 0 };
	uint64_t revision;
	size_t at;

	leader_assert_locked(leader);
	*ret_refused = self_refuse_user(state, toggle->user, "stars and bookmarks");
	if (*ret_refused || !prefs_toggle(now, toggle, &made, ret_on, err))
		return LEDGER_FAILED;
	if (!made)
		return LEDGER_WRITTEN;
	change.entity = made;
	return leader_write_locked(leader, &change, 1, &revision, &at, err);
}

static struct http_response *answer(bool on)
{
	struct buf body = buf_limit(ANSWER_MAX);
	struct json_writer w = json_writer(&body);

	json_open_object(&w);
	json_put_bool(&w, "on", on);
	json_close_object(&w);
	return api_json(200, &body);
}

/* Stale: another leader wrote it first, and is followed by then. */
static struct http_response *toggle(struct leader *leader, const struct prefs_toggle *toggle)
{
	enum ledger_result result = LEDGER_BEHIND;
	struct http_response *refused = NULL;
	struct error err;
	bool on = false;

	leader_lock(leader);
	for (unsigned i = 0; i < LEADER_WRITE_TRIES && (result == LEDGER_BEHIND || result == LEDGER_STALE);
		i++)
		result = toggle_locked(leader, toggle, &on, &refused, &err);
	leader_unlock(leader);
	if (refused)
		return refused;
	if (result == LEDGER_BEHIND || result == LEDGER_STALE)
		(void)error_set(&err, ERROR_BUSY, NULL, "other leaders write all the time; try again");
	return result == LEDGER_WRITTEN ? answer(on) : api_error_of(&err);
}

static struct http_response *serve(struct api_job *job, struct asked *asked)
{
	struct http_response *refused;
	struct error err;

	if (!read_asked(job, asked))
		return api_bad_query();
	if (!understand(asked, &err))
		return api_error_of(&err);
	refused = self_refuse_often(job->leader, asked->toggle.user, "stars and bookmarks");
	return refused ? refused : toggle(job->leader, &asked->toggle);
}

struct http_response *self_prefs(void *job)
{
	AUTO_FINI(asked)
	asked = { .user = buf_limit(USER_MAX + 1),
		.repository = buf_limit(NAME_MAX_LEN + 1),
		.action = buf_limit(TEXT_MAX),
		.there = buf_limit(TEXT_MAX),
		.call = buf_limit(TEXT_MAX) };

	return serve(job, &asked);
}

const struct route_about about_self_prefs[] = {
	{ .method = HTTP_PUT,
		.summary = "To workers: a user's star or bookmark, there or not.",
		.gives = "Object" },
	{ 0 },
};
