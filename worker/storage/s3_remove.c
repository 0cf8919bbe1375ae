/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_remove - a DELETE that ends: whatever holds it up on its way, it takes effect before until_s or never.
 *
 *     HEAD --- 404 ----------------------------------------> UNKNOWN  (a DELETE of what never was gives 204)
 *       |
 *     DELETE, signed in its URL until until_s, by the store's clock
 *       |----- 2xx, 404 -----------------------------------> OK       if each attempt before was answered too
 *       |----- refused in so many words -------------------> FAILED   likewise
 *       `----- no answer, 5xx: attempt again while there is time; then, in each case,
 *                HEAD until the Date of its answer is past until_s: nothing of ours is on its way any more
 *                    gone, or an attempt was answered -----> OK
 *                    still there --------------------------> UNAVAILABLE
 */
#include "common/check.h"
#include "common/clock.h"
#include "worker/storage/s3_priv.h"
#include "s3/s3_xml.h"

/* A Date has whole seconds, and what was let in at the last moment needs another to be done. */
#define SLACK_S 1

struct removal {
	struct s3_client *client;
	const char *key;
	int64_t until_s;
	bool done;         /* an attempt was answered: it is gone */
	bool doubt;        /* an attempt was not: it may be on its way */
	struct error last; /* what became of the last attempt, unless done */
};

static int64_t left_s(const struct removal *removal)
{
	return removal->until_s - s3_clock_now_s(&removal->client->clock);
}

static bool is_over(const struct removal *removal, struct error *err)
{
	if (left_s(removal) > 0)
		return false;
	(void)error_set(err, ERROR_UNAVAILABLE, NULL,
		"S3 DELETE %s: the time in which it may be removed is over", removal->key);
	(void)s3_client_hide(err);
	return true;
}

/* ---- attempts ---- */

/* A HEAD that was signed the same way, but in its headers, was answered just before. */
static bool is_misunderstood(const struct http_result *result, struct buf *code)
{
	if (result->status != 400 && result->status != 401 && result->status != 403)
		return false;
	if (!s3_xml_find(buf_str(&result->body), "Code", code))
		buf_clear(code);
	return !str_is(buf_str(code), "AccessDenied");
}

static void explain(struct removal *removal, const struct s3_call *call, const struct http_result *result)
{
	AUTO_FINI(buf) code = buf_limit(128);

	if (is_misunderstood(result, &code))
		(void)error_set(&removal->last, ERROR_UNAVAILABLE, NULL,
			"S3 at %s takes no DELETE that is signed in its URL: %u %s, key %s",
			removal->client->endpoint.origin, result->status, buf_text(&code), removal->key);
	else
		(void)s3_client_error(removal->client, call, result, &removal->last);
	(void)s3_client_hide(&removal->last);
}

/* True: another one may help. */
static bool attempt(struct removal *removal)
{
	struct s3_client *client = removal->client;
	AUTO_FINI(http_result) result = { 0 };
	int64_t most_ms = (left_s(removal) + SLACK_S) * 1000;
	struct s3_call call = {
		.method = "DELETE",
		.key = removal->key,
		.until_s = removal->until_s,
		.fresh = true,
		.stall_ms = most_ms < client->stall_ms ? (unsigned)most_ms : client->stall_ms,
	};

	if (!s3_client_try(client, &call, &result, &removal->last)) {
		removal->doubt = removal->doubt || removal->last.kind != ERROR_INVALID;
		return s3_client_is_broken(&removal->last);
	}
	removal->done = result.status >= 200 && result.status < 300;
	if (removal->done)
		return false;
	if (s3_client_is_transient(&result)) {
		(void)s3_client_error(client, &call, &result, &removal->last);
		removal->doubt = removal->doubt || result.status >= 500;
		return true;
	}
	explain(removal, &call, &result);
	removal->done = removal->last.kind == ERROR_UNKNOWN;
	removal->doubt = removal->doubt || result.status >= 500;
	return false;
}

static void make_attempts(struct removal *removal)
{
	for (unsigned n = 1; attempt(removal) && n < removal->client->attempts; n++) {
		s3_client_pause(removal->client, n);
		if (left_s(removal) <= 0)
			return;
	}
}

/* ---- their end ---- */

static bool is_past(const struct removal *removal, const struct http_result *result)
{
	int64_t date = s3_client_date(result);

	return (date ? date : s3_clock_now_s(&removal->client->clock)) > removal->until_s + SLACK_S;
}

/* False: not yet, ask again. */
static bool ask(struct removal *removal, bool *ret_removed, struct error *err)
{
	AUTO_FINI(http_result) result = { 0 };
	struct s3_call call = { .method = "HEAD", .key = removal->key };
	struct error head;

	if (!s3_client_try(removal->client, &call, &result, &head) || s3_client_is_transient(&result) ||
		!is_past(removal, &result))
		return false;
	*ret_removed = removal->done;
	if (removal->done)
		return true;
	if (s3_client_expect_ok(removal->client, &call, &result, &head)) {
		(void)error_set(err, ERROR_UNAVAILABLE, NULL, "S3 DELETE %s: not removed in time: %s",
			removal->key, removal->last.text);
		(void)s3_client_hide(err);
	} else if (head.kind == ERROR_UNKNOWN)
		*ret_removed = true;
	else if (err)
		*err = head;
	return true;
}

static int64_t bounded(int64_t ms, int64_t least, int64_t most)
{
	return ms > most ? most : ms < least ? least : ms;
}

static bool await_end(struct removal *removal, struct error *err)
{
	const struct s3_client *client = removal->client;
	int64_t wait_ms = (left_s(removal) + SLACK_S + 1) * 1000;
	int64_t give_up_ms = clock_ms() + bounded(wait_ms, 0, INT64_MAX) + client->give_up_ms;
	bool removed = false;

	for (int64_t least_ms = 0; clock_ms() < give_up_ms; least_ms = client->backoff_ms) {
		s3_client_sleep(bounded(wait_ms, least_ms, client->wait_max_ms));
		if (ask(removal, &removed, err))
			return removed;
		wait_ms = (left_s(removal) + SLACK_S + 1) * 1000;
	}
	(void)error_set(err, ERROR_UNAVAILABLE, NULL, "S3 DELETE %s: unknown whether it was removed: %s",
		removal->key, removal->last.text);
	return s3_client_hide(err);
}

bool s3_remove(struct store *store, const char *key, int64_t until_s, struct error *err)
{
	struct s3_store *s3 = s3_store_of(store);
	struct removal removal = { .client = &s3->client, .key = key, .until_s = until_s };
	uint64_t there;

	/* What we believe before the first answer may be far off. */
	if (s3_clock_is_known(&s3->client.clock) && is_over(&removal, err))
		return false;
	if (!s3_head(s3, key, &there, NULL, err) || !s3_settle_stand_ins(s3, key, there, err) ||
		is_over(&removal, err))
		return false;
	make_attempts(&removal);
	if (removal.doubt)
		return await_end(&removal, err);
	if (!removal.done && err)
		*err = removal.last;
	return removal.done;
}
