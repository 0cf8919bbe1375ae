/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage - GET /api/usage: what API keys and repositories used, merged over all workers.
 *
 *     ?apikey=ID        one key; without it all keys
 *     ?day=2026-11-20   one day, or ?month=2026-11; without them all windows
 *     ?repository=NAME  a repository since it is counted; empty: all of them
 */
#include <string.h>

#include "common/clock.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/grants.h"

#define ROWS_MAX 1000
#define BODY_MAX (4 * 1024 * 1024)

struct listing {
	struct api_job *job;
	struct state *state;
	struct json_writer w;
	char today[11];
	bool seen_today;
};

static bool put_key(void *arg, const struct ledger_usage *usage)
{
	struct listing *listing = arg;
	struct json_writer *w = &listing->w;
	struct entity *entity = state_find(listing->state, ENTITY_APIKEY, str_of(usage->id));
	bool is_day = str_of(usage->window).len == 10;

	listing->seen_today |= !strcmp(usage->window, listing->today);
	json_open_object(w);
	json_put_text(w, "apikey", usage->id);
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
	struct ledger_usage usage = { .id = key };

	if (listing->seen_today || (window && strcmp(window, listing->today) != 0) ||
		!grants_granted(listing->job->leader->grants, key, listing->today))
		return;
	memcpy(usage.window, listing->today, sizeof(usage.window));
	(void)put_key(listing, &usage);
}

static bool put_repository(void *arg, const struct ledger_usage *usage)
{
	struct json_writer *w = &((struct listing *)arg)->w;

	json_open_object(w);
	json_put_text(w, "repository", usage->id);
	json_put_uint(w, "pulls", usage->pulls);
	json_put_uint(w, "pushes", usage->pushes);
	json_put_uint(w, "bytesIn", usage->bytes_in);
	json_put_uint(w, "bytesOut", usage->bytes_out);
	json_close_object(w);
	return true;
}

static struct http_response *list(
	struct api_job *job, const char *key, const char *window, const char *repository)
{
	struct leader *leader = job->leader;
	struct buf body = buf_limit(BODY_MAX);
	struct listing listing = { .job = job, .state = leader_state(leader), .w = json_writer(&body) };
	struct error err;
	bool ok;

	clock_day(clock_wall_s(), listing.today);
	json_open_object(&listing.w);
	json_key(&listing.w, repository ? STR("repositories") : STR("usage"));
	json_open_array(&listing.w);
	leader_lock(leader);
	if (repository)
		ok = ledger_list_repositories(leader->ledger, *repository ? repository : NULL, ROWS_MAX,
			put_repository, &listing, &err);
	else
		ok = ledger_list_keys(leader->ledger, key, window, ROWS_MAX, put_key, &listing, &err);
	leader_unlock(leader);
	if (key && !repository)
		put_granted_today(&listing, key, window);
	json_close_array(&listing.w);
	json_close_object(&listing.w);
	state_free(listing.state);
	if (ok)
		return api_json(200, &body);
	buf_fini(&body);
	return api_error_of(&err);
}

struct http_response *usage_serve(void *arg)
{
	struct api_job *job = arg;
	AUTO_FINI(buf) key = buf_limit(1024);
	AUTO_FINI(buf) day = buf_limit(64);
	AUTO_FINI(buf) month = buf_limit(64);
	AUTO_FINI(buf) repository = buf_limit(1024);
	bool has_key, has_day, has_month, has_repository;

	if (!api_parameter(job, "apikey", &key, &has_key) || !api_parameter(job, "day", &day, &has_day) ||
		!api_parameter(job, "month", &month, &has_month) ||
		!api_parameter(job, "repository", &repository, &has_repository))
		return api_bad_query();
	if (has_day && has_month)
		return api_error(400, "invalid", "ask for a day or for a month, not for both");
	return list(job, has_key ? buf_text(&key) : NULL,
		has_day     ? buf_text(&day)
		: has_month ? buf_text(&month)
			    : NULL,
		has_repository ? buf_text(&repository) : NULL);
}
