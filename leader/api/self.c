/* SPDX-License-Identifier: Apache-2.0 */
/*
 * self - what users do for themselves at a worker, who are known to it by their password or certificate: their API keys, and what these
 * used. The worker asks with its own credential, and names the user.
 *
 *     GET, POST /api/cluster/self/apikey?user=NAME           zot's bodies (proto/own_key.h); &agent= of a POST: the program that asks
 *     DELETE    /api/cluster/self/apikey?user=NAME&id=UUID
 *     GET       /api/cluster/self/usage?user=NAME            today and this month, of each key; the quotas of the user and the user's groups
 *
 * So a worker may do this much for whoever it says: make, list and end keys of an enabled user of the state. A key never opens more than its
 * owner may, and no other entity is touched. For a user who has a role none is made: it would open the leader's API. A user has OWN_KEYS_MAX
 * keys at most, those that administrators made among them, and OWN_KEYS_CHANGES in a minute; each is in the log with the user and the worker, and
 * in the audit as the user's.
 */
#include <inttypes.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/told.h"
#include "leader/api/describe.h"
#include "leader/api/self.h"
#include "leader/api/usage_quotas.h"
#include "proto/access.h"
#include "proto/own_key.h"

#define USER_MAX 255
#define BODY_MAX (1024 * 1024)
/* Of a user and the user's groups. */
#define QUOTAS_MAX 1000

struct self {
	struct api_job *job;
	struct buf user, id, agent;
	bool has_user, has_id, has_agent;
	int64_t now_s;
};

static void self_fini(struct self *self)
{
	buf_fini(&self->user);
	buf_fini(&self->id);
	buf_fini(&self->agent);
}

static bool is_own(const struct self *self, const struct entity *key)
{
	return key && str_is(buf_str(&self->user), entity_apikey(key)->owner);
}

static size_t count_own(const struct self *self, const struct state *state)
{
	size_t len = 0;

	for (size_t i = 0; i < state_count(state, ENTITY_APIKEY); i++)
		len += is_own(self, state_at(state, ENTITY_APIKEY, i));
	return len;
}

struct http_response *self_refuse_user(const struct state *state, struct str name, const char *what)
{
	const struct entity *user = state_find(state, ENTITY_USER, name);

	if (user && entity_user(user)->enabled)
		return NULL;
	return api_error(403, "denied", "only users whom the leaders know and who are enabled have %s", what);
}

static struct http_response *refuse_user(const struct self *self, const struct state *state)
{
	return self_refuse_user(state, buf_str(&self->user), "API keys");
}

/* In the name of the user; the address is the worker's. */
static struct ledger_audit audit_of(const struct self *self, const char *how)
{
	struct ledger_audit audit = told_audit(self->job, how);

	audit.user = buf_text(&self->user);
	return audit;
}

static void tell(const struct self *self, const char *how, struct str id, uint64_t revision)
{
	const char *said = http_headers_find(self->job->http->headers, "Zot-Worker-Name");
	const char *worker = *self->job->who.worker ? self->job->who.worker : said ? said : "";

	log_info("entity.written",
		"how=%s kind=apikey id=%s revision=%" PRIu64 " by=%s worker=%s from=%s self=true", how,
		log_quote(id), revision, log_quote(buf_str(&self->user)), log_quote(str_of(worker)),
		self->job->from_text);
}

/* List. */

static struct http_response *list(const struct self *self, const struct state *state)
{
	struct buf body = buf_limit(BODY_MAX);
	struct json_writer w = json_writer(&body);

	json_open_object(&w);
	json_key(&w, STR("apiKeys"));
	json_open_array(&w);
	for (size_t i = 0; i < state_count(state, ENTITY_APIKEY); i++) {
		const struct entity *key = state_at(state, ENTITY_APIKEY, i);
		if (is_own(self, key))
			own_key_write(&w, key, NULL, self->now_s);
	}
	json_close_array(&w);
	json_close_object(&w);
	return api_json(200, &body);
}

/* Make. */

static struct http_response *made_response(
	const struct self *self, const struct entity *key, const char *secret)
{
	struct buf body = buf_limit(BODY_MAX);
	struct json_writer w = json_writer(&body);

	own_key_write(&w, key, secret, self->now_s);
	return api_json(201, &body);
}

static struct http_response *refuse_full(void)
{
	return api_error(409, "too_many",
		"there are %u API keys of this user, which is the most; delete one first", OWN_KEYS_MAX);
}

/* A key of a user with a role opens the admin API: no worker's word is enough for one. */
static struct http_response *refuse_making(const struct self *self, const struct state *state)
{
	const struct entity *user = state_find(state, ENTITY_USER, buf_str(&self->user));

	if (entity_user(user)->roles.len)
		return api_error(403, "denied", "users with a role get API keys from the leader's API alone");
	return count_own(self, state) >= OWN_KEYS_MAX ? refuse_full() : NULL;
}

/* Stale: another key has its id, which is random. */
static enum ledger_result write_locked(const struct self *self, const struct ledger_change *change,
	uint64_t *ret_revision, struct http_response **ret_refused, struct error *err)
{
	struct leader *leader = self->job->leader;
	AUTO(state) *state = leader_state(leader);
	size_t at;

	leader_assert_locked(leader);
	*ret_refused = refuse_user(self, state);
	if (!*ret_refused && !entity_is_deleted(change->entity))
		*ret_refused = refuse_making(self, state);
	if (*ret_refused)
		return LEDGER_FAILED;
	return leader_write_locked(leader, change, 1, ret_revision, &at, err);
}

static struct http_response *change_keys(
	const struct self *self, const struct ledger_change *change, uint64_t *ret_revision)
{
	struct http_response *refused = NULL;
	enum ledger_result result;
	struct error err;

	leader_lock(self->job->leader);
	do
		result = write_locked(self, change, ret_revision, &refused, &err);
	while (result == LEDGER_BEHIND);
	leader_unlock(self->job->leader);
	if (refused || result == LEDGER_WRITTEN)
		return refused;
	if (result == LEDGER_STALE)
		(void)error_set(&err, ERROR_CONFLICT, NULL, "the key has changed meanwhile; read it again");
	return api_error_of(&err);
}

static struct http_response *make(const struct self *self)
{
	const struct own_key_maker maker = {
		.owner = buf_text(&self->user), .agent = buf_text(&self->agent), .now_s = self->now_s
	};
	AUTO(entity) *key = NULL;
	char secret[OWN_KEY_SECRET_SIZE];
	const struct ledger_audit audit = audit_of(self, "created");
	struct ledger_change change = { .check = true, .audit = &audit };
	struct http_response *response;
	uint64_t revision;
	struct error err;

	if (!own_key_make(self->job->http->body, &maker, &key, secret, &err))
		return api_error_of(&err);
	change.entity = key;
	response = change_keys(self, &change, &revision);
	if (!response) {
		tell(self, "created", entity_id(key), revision);
		response = made_response(self, key, secret);
	}
	explicit_bzero(secret, sizeof(secret));
	return response;
}

/* End. One that is not there, or not theirs, is none: as with zot that is no error. */
static struct http_response *end(const struct self *self, const struct state *state)
{
	const struct entity *key = state_find(state, ENTITY_APIKEY, buf_str(&self->id));
	const struct ledger_audit audit = audit_of(self, "deleted");
	struct http_response *refused;
	struct ledger_change change;
	uint64_t revision;

	if (!self->has_id || !self->id.len)
		return api_error(400, "invalid", "id: needed, the uuid of the key");
	if (!is_own(self, key))
		return http_response_empty(200);
	change = (struct ledger_change){ .entity = entity_new_deleted(ENTITY_APIKEY, entity_id(key), 0),
		.check = true,
		.expected = entity_revision(key),
		.audit = &audit };
	refused = change_keys(self, &change, &revision);
	if (!refused)
		tell(self, "deleted", entity_id(key), revision);
	entity_free(change.entity);
	return refused ? refused : http_response_empty(200);
}

/* How often. */

struct http_response *self_refuse_often(struct leader *leader, struct str user, const char *what)
{
	struct http_response *response;

	if (few_each_take_name(leader->selves, user, clock_ms()))
		return NULL;
	response = api_error(429, "too_many_requests", "%s were changed too often in the last minute", what);
	http_response_header(response, "Retry-After", "60");
	return response;
}

/* Asked. */

static bool read_asked(struct self *self)
{
	return api_parameter(self->job, "user", &self->user, &self->has_user) &&
	       api_parameter(self->job, "id", &self->id, &self->has_id) &&
	       api_parameter(self->job, "agent", &self->agent, &self->has_agent);
}

static struct http_response *serve_keys(struct self *self)
{
	AUTO(state) *state = leader_state(self->job->leader);
	struct http_response *refused = refuse_user(self, state);

	if (!refused && !api_is_read(self->job))
		refused = self_refuse_often(self->job->leader, buf_str(&self->user), "API keys");
	if (refused)
		return refused;
	if (self->job->http->method == HTTP_POST)
		return make(self);
	if (self->job->http->method == HTTP_DELETE)
		return end(self, state);
	return list(self, state);
}

typedef struct http_response *self_f(struct self *self);

static struct http_response *serve(struct api_job *job, self_f *fn)
{
	AUTO_FINI(self)
	self = { .job = job,
		.user = buf_limit(USER_MAX + 1),
		.id = buf_limit(ENTITY_ID_MAX + 1),
		.agent = buf_limit(4096),
		.now_s = clock_wall_s() };

	if (!read_asked(&self))
		return api_bad_query();
	if (!self.has_user || !self.user.len || memchr(self.user.at, '\0', self.user.len))
		return api_error(400, "invalid", "user: needed, who asks the worker");
	return fn(&self);
}

struct http_response *self_keys(void *job)
{
	return serve(job, serve_keys);
}

/* Usage. */

struct window {
	const char *name, *value;
	bool is_day;
};

static bool take_usage(void *arg, const struct ledger_usage *usage)
{
	*(struct ledger_usage *)arg = *usage;
	return true;
}

static bool put_window_locked(const struct self *self, const struct entity *key, const struct window *window,
	struct json_writer *w, struct error *err)
{
	struct ledger_usage used = { 0 };
	const char *id = entity_id(key).at;
	const struct ledger_keys which = { .apikey = id, .window = window->value };
	const struct apikey *body = entity_apikey(key);

	leader_assert_locked(self->job->leader);
	if (!ledger_list_keys(self->job->leader->ledger, &which, 1, take_usage, &used, err))
		return false;
	json_key(w, str_of(window->name));
	json_open_object(w);
	json_put_uint(w, "calls", used.calls);
	json_put_uint(w, "bytesIn", used.bytes_in);
	json_put_uint(w, "bytesOut", used.bytes_out);
	json_put_int(w, "callsQuota", window->is_day ? body->daily_quota : body->monthly_quota);
	if (!window->is_day)
		json_put_int(w, "bytesQuota", body->monthly_bytes);
	json_close_object(w);
	return true;
}

static bool put_usage_locked(const struct self *self, const struct entity *key, const char day[11],
	struct json_writer *w, struct error *err)
{
	char month[8] = "";
	const struct window today = { "today", day, true }, this_month = { "month", month, false };
	bool ok;

	memcpy(month, day, 7);
	json_open_object(w);
	json_put_str(w, "uuid", entity_id(key));
	json_put_text(w, "label", entity_apikey(key)->label);
	json_put_int(w, "callsASecond", entity_apikey(key)->throttling_quota);
	ok = put_window_locked(self, key, &today, w, err) &&
	     put_window_locked(self, key, &this_month, w, err);
	json_close_object(w);
	return ok;
}

static bool put_all_locked(const struct self *self, const struct state *state, const char day[11],
	struct json_writer *w, struct error *err)
{
	size_t told = 0;
	bool ok = true;

	for (size_t i = 0; ok && told < OWN_KEYS_MAX && i < state_count(state, ENTITY_APIKEY); i++) {
		const struct entity *key = state_at(state, ENTITY_APIKEY, i);
		bool asked =
			is_own(self, key) && (!self->has_id || str_equal(entity_id(key), buf_str(&self->id)));

		if (asked)
			ok = put_usage_locked(self, key, day, w, err);
		told += asked;
	}
	return ok;
}

/* Of the user and of the groups that the user is in: what is left of them is left for all of the user's calls. */
static bool put_quotas_locked(
	const struct self *self, const struct state *state, struct json_writer *w, struct error *err)
{
	const struct entity *user = state_find(state, ENTITY_USER, buf_str(&self->user));
	const char *owner = buf_text(&self->user);
	const struct access_who member = { .user = owner,
		.groups = user ? entity_user(user)->groups : (struct texts){ 0 },
		.state = state };
	const struct usage_quotas asked = { .owners = &owner,
		.owners_len = 1,
		.member = user ? &member : NULL,
		.no_keys = true,
		.max = QUOTAS_MAX };
	bool more = false;

	leader_assert_locked(self->job->leader);
	return usage_quotas_put_locked(self->job->leader, state, &asked, w, &more, err);
}

static struct http_response *serve_usage(struct self *self)
{
	AUTO(state) *state = leader_state(self->job->leader);
	struct buf body = buf_limit(BODY_MAX);
	struct json_writer w = json_writer(&body);
	struct error err;
	char day[11];
	bool ok;

	clock_day(self->now_s, day);
	json_open_object(&w);
	json_put_str(&w, "user", buf_str(&self->user));
	json_put_text(&w, "day", day);
	json_key(&w, STR("apiKeys"));
	json_open_array(&w);
	leader_lock(self->job->leader);
	ok = put_all_locked(self, state, day, &w, &err);
	json_close_array(&w);
	ok = ok && put_quotas_locked(self, state, &w, &err);
	leader_unlock(self->job->leader);
	json_close_object(&w);
	if (ok)
		return api_json(200, &body);
	buf_fini(&body);
	return api_error_of(&err);
}

struct http_response *self_usage(void *job)
{
	return serve(job, serve_usage);
}

const struct route_about about_self_keys[] = {
	{ .method = HTTP_GET, .summary = "To workers: a user's own API keys.", .gives = "Object" },
	{ .method = HTTP_POST,
		.summary = "To workers: another key of a user's own.",
		.takes = "Object",
		.gives = "Object",
		.status = 201 },
	{ .method = HTTP_DELETE, .summary = "To workers: a user's own key ends.", .gives = "Object" },
	{ 0 },
};

const struct route_about about_self_usage[] = {
	{ .method = HTTP_GET, .summary = "To workers: what a user's own keys used.", .gives = "Object" },
	{ 0 },
};
