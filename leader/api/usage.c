/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage - GET /api/usage: what API keys and repositories used, merged over all workers.
 *
 *     ?apikey=ID        one key; without it all keys
 *     ?day=2026-11-20   one day, or ?month=2026-11; without them all windows
 *     ?user=NAME        the keys of a user, or ?group=NAME of all users who are in it now
 *     ?repository=NAME  a repository since it is counted; empty: all of them
 *     ?by=user, group   of a day or month: what each of them used together (usage_by.h), a page of n behind `last`
 *
 * At most ROWS_MAX rows; "more" says that there are others. Those of keys have "sums", which are of all that were asked for: in the
 * day or month, else in all months; and "quotas" of now (usage_quotas.h).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/describe.h"
#include "leader/api/usage_by.h"
#include "leader/api/usage_quotas.h"
#include "leader/grants.h"
#include "leader/rights.h"
#include "proto/access.h"

#define ROWS_MAX 1000
#define BODY_MAX (4 * 1024 * 1024)

/* What is asked. */
struct asked {
	struct buf apikey, day, month, repository, user, group, by, n, last;
	bool has_apikey, has_day, has_month, has_repository, has_user, has_group, has_by, has_n, has_last;
	uint64_t page;           /* rows, of `by` */
	struct ledger_keys keys; /* which rows; owners are its own, of borrowed names */
};

struct listing {
	struct api_job *job;
	struct state *state;
	struct json_writer w;
	char today[11];
	bool seen_today;
	size_t rows;
	bool more; /* than ROWS_MAX */
};

static void asked_fini(struct asked *asked)
{
	buf_fini(&asked->apikey);
	buf_fini(&asked->day);
	buf_fini(&asked->month);
	buf_fini(&asked->repository);
	buf_fini(&asked->user);
	buf_fini(&asked->group);
	buf_fini(&asked->by);
	buf_fini(&asked->n);
	buf_fini(&asked->last);
	free((void *)(uintptr_t)asked->keys.owners);
}

static bool is_room(struct listing *listing)
{
	listing->more = listing->rows == ROWS_MAX;
	listing->rows += !listing->more;
	return !listing->more;
}

static bool put_key(void *arg, const struct ledger_usage *usage)
{
	struct listing *listing = arg;
	struct json_writer *w = &listing->w;
	struct entity *entity = state_find(listing->state, ENTITY_APIKEY, str_of(usage->id));
	bool is_day = str_of(usage->window).len == 10;

	if (!is_room(listing))
		return false;
	listing->seen_today |= !strcmp(usage->window, listing->today);
	json_open_object(w);
	json_put_text(w, "apikey", usage->id);
	json_put_text(w, "owner", usage->owner);
	json_put_text(w, "label", usage->label);
	json_put_text(w, is_day ? "day" : "month", usage->window);
	json_put_uint(w, "calls", usage->calls);
	json_put_uint(w, "bytesIn", usage->bytes_in);
	json_put_uint(w, "bytesOut", usage->bytes_out);
	if (is_day) {
		json_put_uint(
			w, "granted", grants_granted(listing->job->leader->grants, usage->id, usage->window));
		json_put_uint(w, "ungranted", usage->ungranted);
	}
	if (entity)
		json_put_int(w, "quota",
			is_day ? entity_apikey(entity)->daily_quota : entity_apikey(entity)->monthly_quota);
	json_close_object(w);
	return true;
}

/* A key that was granted something and has not used it, or whose calls a ledger that was put back has lost. */
static void put_granted_today(struct listing *listing, const char *key, const char *window)
{
	struct entity *entity = state_find(listing->state, ENTITY_APIKEY, str_of(key));
	struct ledger_usage usage = { .id = key,
		.owner = entity ? entity_apikey(entity)->owner : "",
		.label = entity ? entity_apikey(entity)->label : "" };

	if (listing->seen_today || (window && strcmp(window, listing->today) != 0) ||
		!grants_granted(listing->job->leader->grants, key, listing->today))
		return;
	memcpy(usage.window, listing->today, sizeof(usage.window));
	(void)put_key(listing, &usage);
}

static bool put_repository(void *arg, const struct ledger_usage *usage)
{
	struct listing *listing = arg;
	struct json_writer *w = &listing->w;

	if (!is_room(listing))
		return false;
	json_open_object(w);
	json_put_text(w, "repository", usage->id);
	json_put_uint(w, "pulls", usage->pulls);
	json_put_uint(w, "pushes", usage->pushes);
	json_put_uint(w, "bytesIn", usage->bytes_in);
	json_put_uint(w, "bytesOut", usage->bytes_out);
	json_close_object(w);
	return true;
}

static bool put_repositories_locked(struct listing *listing, struct asked *asked, struct error *err)
{
	struct leader *leader = listing->job->leader;
	bool ok;

	leader_assert_locked(leader);
	json_key(&listing->w, STR("repositories"));
	json_open_array(&listing->w);
	ok = ledger_list_repositories(leader->ledger,
		asked->repository.len ? buf_text(&asked->repository) : NULL, ROWS_MAX + 1, put_repository,
		listing, err);
	json_close_array(&listing->w);
	return ok;
}

static void put_sums(struct json_writer *w, const struct ledger_usage *sum)
{
	json_key(w, STR("sums"));
	json_open_object(w);
	json_put_uint(w, "calls", sum->calls);
	json_put_uint(w, "bytesIn", sum->bytes_in);
	json_put_uint(w, "bytesOut", sum->bytes_out);
	json_close_object(w);
}

/* Of all rows that were asked for, also of those that are not listed. */
static bool put_sums_locked(struct listing *listing, const struct ledger_keys *keys, struct error *err)
{
	struct ledger_usage sum;

	leader_assert_locked(listing->job->leader);
	if (!ledger_sum_keys(listing->job->leader->ledger, keys, &sum, err))
		return false;
	put_sums(&listing->w, &sum);
	return true;
}

static bool put_quotas_locked(struct listing *listing, struct asked *of, struct error *err)
{
	bool all = listing->job->who.role != LOGIN_KEY_MANAGER; /* a group's is of others' keys too */
	struct usage_quotas asked = { .apikey = of->keys.apikey,
		.group = of->has_group && all ? buf_text(&of->group) : NULL,
		.owners = of->keys.owners,
		.owners_len = of->keys.owners_len,
		.max = ROWS_MAX };

	return usage_quotas_put_locked(
		listing->job->leader, listing->state, &asked, &listing->w, &listing->more, err);
}

static bool put_keys_locked(struct listing *listing, struct asked *asked, struct error *err)
{
	struct leader *leader = listing->job->leader;
	const struct ledger_keys *keys = &asked->keys;
	bool ok;

	leader_assert_locked(leader);
	json_key(&listing->w, STR("usage"));
	json_open_array(&listing->w);
	ok = ledger_list_keys(leader->ledger, keys, ROWS_MAX + 1, put_key, listing, err);
	if (keys->apikey && !keys->owners)
		put_granted_today(listing, keys->apikey, keys->window);
	json_close_array(&listing->w);
	return ok && put_sums_locked(listing, keys, err) && put_quotas_locked(listing, asked, err);
}

static struct http_response *list(struct api_job *job, struct asked *asked)
{
	struct buf body = buf_limit(BODY_MAX);
	struct listing listing = { .job = job, .state = leader_state(job->leader), .w = json_writer(&body) };
	struct error err;
	bool ok;

	clock_day(clock_wall_s(), listing.today);
	json_open_object(&listing.w);
	leader_lock(job->leader);
	ok = asked->has_repository ? put_repositories_locked(&listing, asked, &err)
				   : put_keys_locked(&listing, asked, &err);
	leader_unlock(job->leader);
	json_put_bool(&listing.w, "more", listing.more);
	json_close_object(&listing.w);
	state_free(listing.state);
	if (ok)
		return api_json(200, &body);
	buf_fini(&body);
	return api_error_of(&err);
}

/* By user or group. */

static void put_parameter(struct buf *link, const char *name, bool given, const struct buf *value)
{
	if (!given)
		return;
	buf_format(link, "&%s=", name);
	buf_url(link, buf_str(value), "");
}

static void put_link(struct http_response *response, const struct asked *asked, const char *last)
{
	AUTO_FINI(buf) link = buf_limit(16384);

	buf_format(&link, "</api/usage?by=%s", buf_text(&asked->by));
	put_parameter(&link, "day", asked->has_day, &asked->day);
	put_parameter(&link, "month", asked->has_month, &asked->month);
	put_parameter(&link, "user", asked->has_user, &asked->user);
	put_parameter(&link, "group", asked->has_group, &asked->group);
	buf_format(&link, "&n=%" PRIu64 "&last=", asked->page);
	buf_url(&link, str_of(last), "");
	buf_puts(&link, ">; rel=\"next\"");
	if (!link.failed)
		http_response_header(response, "Link", buf_text(&link));
}

static struct http_response *list_by(struct api_job *job, const struct asked *asked)
{
	AUTO(state) *state = leader_state(job->leader);
	const struct usage_by by = { .groups = str_is(buf_str(&asked->by), "group"),
		.keys = &asked->keys,
		.last = asked->has_last ? buf_text(&asked->last) : NULL,
		.n = asked->page };
	struct buf body = buf_limit(BODY_MAX);
	struct json_writer w = json_writer(&body);
	struct http_response *response;
	struct usage_by_told told;
	struct error err;
	bool ok;

	json_open_object(&w);
	json_key(&w, by.groups ? STR("groups") : STR("users"));
	leader_lock(job->leader);
	ok = usage_by_put_locked(job->leader, state, &by, &w, &told, &err);
	leader_unlock(job->leader);
	if (!ok) {
		buf_fini(&body);
		return api_error_of(&err);
	}
	put_sums(&w, &told.sums);
	json_put_bool(&w, "more", told.more);
	json_close_object(&w);
	response = api_json(200, &body);
	if (told.more)
		put_link(response, asked, told.last);
	return response;
}

/* What is asked. */

static bool is_asked_for(const struct asked *asked, const struct state *state, const struct entity *user)
{
	const struct access_who who = {
		.user = entity_id(user).at, .groups = entity_user(user)->groups, .state = state
	};

	return (!asked->has_user || str_equal(entity_id(user), buf_str(&asked->user))) &&
	       (!asked->has_group || access_is_in_group(&who, buf_str(&asked->group)));
}

/* Those that are in it now: of users that are gone nobody knows which groups they were in. */
static void take_group(struct asked *asked, const struct state *state)
{
	const struct entity *group = state_find(state, ENTITY_GROUP, buf_str(&asked->group));
	const struct texts *named = group ? &entity_group(group)->users : NULL;
	size_t users = state_count(state, ENTITY_USER);
	const char **owners = xnew_array(const char *, users + (named ? named->len : 0) + 1);

	for (size_t i = 0; i < users; i++) {
		const struct entity *user = state_at(state, ENTITY_USER, i);
		if (texts_have(&entity_user(user)->groups, buf_str(&asked->group)))
			owners[asked->keys.owners_len++] = entity_id(user).at;
	}
	for (size_t i = 0; named && i < named->len; i++) {
		const struct entity *user = state_find(state, ENTITY_USER, str_of(named->at[i]));
		if (user && !texts_have(&entity_user(user)->groups, buf_str(&asked->group)))
			owners[asked->keys.owners_len++] = entity_id(user).at;
	}
	asked->keys.owners = owners;
}

/* Of those that were asked for, or of all users, the ones that a key manager has to do with. */
static void narrow_to_managed(struct asked *asked, const struct api_job *job, const struct state *state)
{
	size_t users = state_count(state, ENTITY_USER), len = 0;
	const char **owners = xnew_array(const char *, users + 1);

	for (size_t i = 0; i < users; i++) {
		const struct entity *user = state_at(state, ENTITY_USER, i);
		if (rights_see(state, &job->who, user) && is_asked_for(asked, state, user))
			owners[len++] = entity_id(user).at;
	}
	free((void *)(uintptr_t)asked->keys.owners);
	asked->keys.owners = owners;
	asked->keys.owners_len = len;
}

static void take_user(struct asked *asked)
{
	const char **owners = xnew_array(const char *, 1);

	owners[0] = buf_text(&asked->user);
	asked->keys.owners = owners;
	asked->keys.owners_len = 1;
}

static void take_keys(struct asked *asked, const struct state *state)
{
	asked->keys.apikey = asked->has_apikey ? buf_text(&asked->apikey) : NULL;
	asked->keys.window = asked->has_day     ? buf_text(&asked->day)
			     : asked->has_month ? buf_text(&asked->month)
						: NULL;
	if (asked->has_user)
		take_user(asked);
	if (asked->has_group)
		take_group(asked, state);
}

static bool read_parameters(const struct api_job *job, struct asked *asked)
{
	return api_parameter(job, "apikey", &asked->apikey, &asked->has_apikey) &&
	       api_parameter(job, "day", &asked->day, &asked->has_day) &&
	       api_parameter(job, "month", &asked->month, &asked->has_month) &&
	       api_parameter(job, "repository", &asked->repository, &asked->has_repository) &&
	       api_parameter(job, "user", &asked->user, &asked->has_user) &&
	       api_parameter(job, "group", &asked->group, &asked->has_group) &&
	       api_parameter(job, "by", &asked->by, &asked->has_by) &&
	       api_parameter(job, "n", &asked->n, &asked->has_n) &&
	       api_parameter(job, "last", &asked->last, &asked->has_last);
}

/* NULL: it is a question that there is. */
static struct http_response *refuse_by(const struct api_job *job, struct asked *asked)
{
	bool groups = str_is(buf_str(&asked->by), "group");

	if (!asked->has_by)
		return asked->has_n || asked->has_last
			       ? api_error(400, "invalid",
					 "n and last are of pages: say also by=user or by=group")
			       : NULL;
	if (!groups && !str_is(buf_str(&asked->by), "user"))
		return api_error(400, "invalid", "by: is user or group");
	if (!asked->has_day && !asked->has_month)
		return api_error(400, "invalid", "by: needs a day or a month");
	if (asked->has_apikey || asked->has_repository)
		return api_error(400, "invalid", "by: is of all keys of users; leave out %s",
			asked->has_apikey ? "apikey" : "repository");
	if (groups && job->who.role == LOGIN_KEY_MANAGER)
		return api_error(
			403, "denied", "groups are summed up over all their users; you manage some API keys");
	asked->page = ROWS_MAX;
	if (asked->has_n && (!str_to_number(buf_str(&asked->n), ROWS_MAX, &asked->page) || !asked->page))
		return api_error(400, "invalid", "n: is a number from 1 to %d", ROWS_MAX);
	return NULL;
}

const struct route_about about_usage[] = {
	{ .method = HTTP_GET,
		.summary = "What keys and repositories used.",
		.query = true,
		.gives = "Usage" },
	{ 0 },
};

struct http_response *usage_serve(void *arg)
{
	struct api_job *job = arg;
	AUTO(state) *state = leader_state(job->leader);
	__attribute__((cleanup(asked_fini))) struct asked asked = { .apikey = buf_limit(1024),
		.day = buf_limit(64),
		.month = buf_limit(64),
		.repository = buf_limit(1024),
		.user = buf_limit(1024),
		.group = buf_limit(1024),
		.by = buf_limit(16),
		.n = buf_limit(16),
		.last = buf_limit(1024) };
	struct http_response *refused;

	if (!read_parameters(job, &asked))
		return api_bad_query();
	if (asked.has_day && asked.has_month)
		return api_error(400, "invalid", "ask for a day or for a month, not for both");
	if (asked.has_user && asked.has_group)
		return api_error(400, "invalid", "ask for a user or for a group, not for both");
	if (asked.has_repository && (asked.has_user || asked.has_group))
		return api_error(400, "invalid", "repositories are not counted by user; leave out %s",
			asked.has_user ? "user" : "group");
	if (asked.has_repository && job->who.role == LOGIN_KEY_MANAGER)
		return api_error(403, "denied", "repositories are not counted by user; you manage API keys");
	refused = refuse_by(job, &asked);
	if (refused)
		return refused;
	take_keys(&asked, state);
	if (job->who.role == LOGIN_KEY_MANAGER)
		narrow_to_managed(&asked, job, state);
	return asked.has_by ? list_by(job, &asked) : list(job, &asked);
}
