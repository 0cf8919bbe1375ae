/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_log - index.log/<generation>/<number> beside index.json: one object for each write since.
 *
 * A record is made with If-None-Match, so each number is given once: who loses the race reads what took its
 * place. Numbers have no gaps, since who makes one has read all before it. index.json names the last that it
 * holds; those up to there are left lying for a while, for readers that were on their way.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/check.h"
#include "common/log.h"
#include "worker/storage/frames.h"
#include "worker/storage/s3_priv.h"

#define NUMBER_LEN 20
#define RECORD_MAX (16 * 1024 * 1024)
/* Records that are asked for at once: one, when there is nothing new mostly, then more and more. */
#define WINDOW_MAX 16

/* "library/nginx/index.log/<generation>/" */
static void folder_of(const char *index_key, const char *generation, char into[STORE_KEY_MAX])
{
	size_t len = strlen(index_key) - strlen("json");

	(void)snprintf(into, STORE_KEY_MAX, "%.*slog/%s/", (int)len, index_key, generation);
}

/* ---- several requests at once ---- */

struct window {
	struct s3_store *s3;
	const char *method;
	size_t n;
	size_t answer_max;
	char keys[WINDOW_MAX][STORE_KEY_MAX + NUMBER_LEN];
	struct s3_call calls[WINDOW_MAX];
	struct s3_request requests[WINDOW_MAX];
	struct http_result results[WINDOW_MAX];
	bool ok[WINDOW_MAX];
};

static void window_fini(struct window *window)
{
	for (size_t i = 0; i < window->n; i++) {
		http_result_fini(&window->results[i]);
		s3_request_fini(&window->requests[i]);
	}
	window->n = 0;
}

static bool send_at_once(struct window *window, struct error *err)
{
	struct http_call_spec specs[WINDOW_MAX];
	struct error ignored;

	for (size_t i = 0; i < window->n; i++) {
		http_result_init(&window->results[i], window->answer_max);
		if (!s3_client_prepare(&window->s3->client, &window->calls[i], &window->requests[i], err))
			return false;
		specs[i] = window->requests[i].spec;
	}
	(void)!http_send_many(specs, window->n, window->s3->parallel, window->results, window->ok, &ignored);
	for (size_t i = 0; i < window->n; i++)
		if (window->ok[i])
			s3_client_heard(&window->s3->client, &window->requests[i], &window->results[i]);
		else
			s3_client_heard_nothing(&window->s3->client);
	return true;
}

/* The keys are set. What got no answer that is worth having is sent again, alone, with patience. */
static bool window_send(struct window *window, struct error *err)
{
	for (size_t i = 0; i < window->n; i++) {
		window->ok[i] = false;
		window->calls[i] = (struct s3_call){
			.method = window->method, .key = window->keys[i], .answer_max = window->answer_max
		};
	}
	if (window->n > 1 && !send_at_once(window, err))
		return false;
	for (size_t i = 0; i < window->n; i++) {
		if (window->ok[i] && !s3_client_is_transient(&window->results[i]))
			continue;
		http_result_fini(&window->results[i]);
		if (!s3_client_send(&window->s3->client, &window->calls[i], &window->results[i], err))
			return false;
	}
	return true;
}

/* ---- reading ---- */

/* False with ret_end: there is no such record, so the one before is the last. */
static bool take_record(
	const struct window *window, size_t i, struct buf *into, bool *ret_end, struct error *err)
{
	const struct http_result *result = &window->results[i];
	struct str body = buf_str(&result->body);
	struct error cause;

	*ret_end = false;
	if (!s3_client_expect_ok(&window->s3->client, &window->calls[i], result, &cause)) {
		*ret_end = cause.kind == ERROR_UNKNOWN;
		if (err)
			*err = cause;
		return false;
	}
	/* S3 writes whole objects or none, so this is no torn tail. */
	if (!body.len || frames_len(body) != body.len)
		return error_set(err, ERROR_INTERNAL, NULL,
			"S3 object %s is damaged: it is no record of an index", window->keys[i]);
	buf_add(into, body);
	return buf_check(into, "log of an index", err);
}

static bool read_window(struct window *window, struct store_log_place *place, struct buf *into, bool *ret_end,
	struct error *err)
{
	for (size_t i = 0; i < window->n; i++) {
		size_t before = into->len;

		if (!take_record(window, i, into, ret_end, err)) {
			if (*ret_end)
				place->seen_s = s3_client_date(&window->results[i]);
			return *ret_end;
		}
		store_log_advance(place, 1, into->len - before);
	}
	return true;
}

enum store_step s3_log_get(struct store *store, const char *index_key, const struct store_version *index,
	struct store_log_place *place, struct buf *into, struct error *err)
{
	struct window *window = xnew(struct window);
	char folder[STORE_KEY_MAX];
	bool end = false, fine = true;

	(void)index;
	folder_of(index_key, place->generation, folder);
	window->s3 = s3_store_of(store);
	window->method = "GET";
	window->answer_max = RECORD_MAX;
	buf_clear(into);
	for (size_t ask = 1; fine && !end; ask = ask < WINDOW_MAX ? 2 * ask : WINDOW_MAX) {
		window->n = ask;
		for (size_t i = 0; i < ask; i++)
			(void)snprintf(window->keys[i], sizeof(window->keys[i]), "%s%0*" PRIu64, folder,
				NUMBER_LEN, place->at + 1 + i);
		fine = window_send(window, err) && read_window(window, place, into, &end, err);
		window_fini(window);
	}
	free(window);
	return fine ? STORE_OK : STORE_FAILED;
}

/* ---- writing ---- */

enum store_step s3_log_append(struct store *store, const char *index_key,
	const struct store_version *expected, struct store_log_place *place, struct str frames,
	struct error *err)
{
	const struct store_version nothing = { .text = "" };
	struct store_version version = { .text = "" };
	char folder[STORE_KEY_MAX], key[STORE_KEY_MAX + NUMBER_LEN];
	enum store_step step;

	(void)expected;
	folder_of(index_key, place->generation, folder);
	(void)snprintf(key, sizeof(key), "%s%0*" PRIu64, folder, NUMBER_LEN, place->at + 1);
	step = s3_put_if(store, key, frames, &nothing, &version, err);
	if (step == STORE_OK) {
		store_log_advance(place, 1, frames.len);
		place->seen_s = version.seen_s;
		place->asked = version.asked;
	}
	return step;
}

/* ---- removing ---- */

struct removal {
	struct window *window;
	const char *folder;
	uint64_t upto;
};

/* Adds to the window; false ends the list: what follows is still needed. */
static bool collect(void *arg, struct str name)
{
	struct removal *removal = arg;
	struct window *window = removal->window;
	uint64_t number;

	if (!str_to_number(name, INT64_MAX, &number))
		return true;
	if (number > removal->upto)
		return false;
	(void)snprintf(window->keys[window->n++], sizeof(window->keys[0]), "%s%.*s", removal->folder,
		STR_ARGS(name));
	return true;
}

/* These may arrive late: nobody reads these numbers any more, and none is given twice while somebody does. So
 * their signatures need not end as that of a blob's removal does. */
bool s3_log_remove(
	struct store *store, const char *index_key, const struct store_log_place *upto, struct error *err)
{
	struct window *window = xnew(struct window);
	char folder[STORE_KEY_MAX];
	struct removal removal = { window, folder, upto->at };
	bool fine = true, more = true;

	folder_of(index_key, upto->generation, folder);
	window->s3 = s3_store_of(store);
	window->method = "DELETE";
	window->answer_max = S3_ANSWER_MAX;
	while (fine && more) {
		bool ignored;

		fine = s3_list(store, folder, STR_NONE, WINDOW_MAX, collect, &removal, &ignored, err);
		more = window->n == WINDOW_MAX;
		fine = fine && window_send(window, err);
		for (size_t i = 0; i < window->n && fine; i++)
			fine = s3_client_expect_ok(
				&window->s3->client, &window->calls[i], &window->results[i], err);
		window_fini(window);
	}
	free(window);
	return fine;
}
